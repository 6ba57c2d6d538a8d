import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {Polled} from "../src/base/notifier";

// Answers when the test says so.
class Slow extends Polled {
  shown = "";
  readonly asks: {answer: (text: string) => void; fail: (why: string) => void}[] = [];

  constructor() {
    super(1000);
  }

  protected look(): Promise<() => void> {
    return new Promise((resolve, reject) => {
      this.asks.push({
        answer: (text) => resolve(() => (this.shown = text)),
        fail: (why) => reject(new Error(why)),
      });
    });
  }
}

const settled = () => vi.advanceTimersByTimeAsync(0);

describe("what is polled", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("document", {hidden: false});
    vi.stubGlobal("window", globalThis);
    vi.stubGlobal("requestAnimationFrame", () => 1);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("is what was asks for last, whichever answer comes last", async () => {
    const slow = new Slow();
    void slow.refresh();
    void slow.refresh();
    slow.asks[1].answer("new");
    await settled();
    slow.asks[0].answer("old");
    await settled();
    expect(slow.shown).toBe("new");
    void slow.refresh();
    slow.asks[2].fail("gone");
    await settled();
    expect([slow.shown, slow.error]).toEqual(["new", "gone"]);
    void slow.refresh();
    void slow.refresh();
    slow.asks[4].fail("still gone");
    await settled();
    slow.asks[3].answer("as it was before");
    await settled();
    expect([slow.shown, slow.error]).toEqual(["new", "still gone"]);
  });

  it("is asked again after an answer that can't be taken over", async () => {
    let asks = 0;
    class Broken extends Polled {
      protected look(): Promise<() => void> {
        asks += 1;
        return Promise.resolve(() => {
          throw new Error("no list");
        });
      }
    }
    const broken = new Broken(1000);
    const leave = broken.watch();
    await settled();
    expect([asks, broken.error]).toEqual([1, "no list"]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(asks).toBe(2);
    leave();
  });

  it("is asks for by one loop, also after it was left while it waited", async () => {
    const slow = new Slow();
    slow.watch()();
    const leave = slow.watch();
    slow.asks.forEach(({answer}) => answer("x"));
    await vi.advanceTimersByTimeAsync(1000);
    expect(slow.asks).toHaveLength(3); // Two by watch(), and one a second later.
    slow.asks[2].answer("x");
    leave();
    await vi.advanceTimersByTimeAsync(5000);
    expect(slow.asks).toHaveLength(3);
  });
});

// State that several parts of the page show: it lives outside of them, so that an answer goes on streaming
// while another view is open, and tells them when it changed, at most once per frame.

import type {ReactiveController, ReactiveControllerHost} from "lit";

export class Notifier {
  private readonly listeners = new Set<() => void>();
  private pending = 0;

  listen(told: () => void): () => void {
    this.listeners.add(told);
    return () => this.listeners.delete(told);
  }

  protected changed(): void {
    this.pending ||= requestAnimationFrame(() => this.tell());
  }

  // At once, where what follows needs the new DOM.
  protected tell(): void {
    cancelAnimationFrame(this.pending);
    this.pending = 0;
    for (const told of this.listeners) told();
  }
}

// State that is asked for again and again while somebody watches and the page is shown.
export abstract class Polled extends Notifier {
  error = ""; // Why the last asking did not work.
  private watchers = 0;
  private timer = 0;
  private round = 0; // Of watching: a loop that was left while it waited does not go on beside a new one.
  private asked = 0;
  private taken = 0;

  constructor(private readonly everyMs: number) {
    super();
  }

  // Asks, and returns what takes the answer over.
  protected abstract look(): Promise<() => void>;

  // Keeps up to date until the returned function is called.
  watch(): () => void {
    this.watchers += 1;
    if (this.watchers === 1) void this.poll((this.round += 1));
    return () => {
      this.watchers -= 1;
      if (!this.watchers) clearTimeout(this.timer);
    };
  }

  // An answer that was overtaken by a later one's says what was, and is dropped.
  async refresh(): Promise<void> {
    const turn = (this.asked += 1);
    try {
      const take = await this.look();
      if (turn < this.taken) return;
      this.taken = turn;
      take();
      this.error = "";
    } catch (error) {
      if (turn < this.taken) return;
      this.taken = turn;
      this.error = (error as Error).message;
    }
    this.changed();
  }

  private async poll(round: number): Promise<void> {
    if (!document.hidden) await this.refresh();
    if (this.watchers && round === this.round) this.timer = window.setTimeout(() => void this.poll(round), this.everyMs);
  }
}

// Redraws a component when a notifier speaks.
export class Watch implements ReactiveController {
  private stop?: () => void;

  constructor(private readonly host: ReactiveControllerHost, private readonly notifier: Notifier) {
    host.addController(this);
  }

  hostConnected(): void {
    this.stop = this.notifier.listen(() => this.host.requestUpdate());
  }

  hostDisconnected(): void {
    this.stop?.();
  }
}

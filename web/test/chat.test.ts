import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {chatBody, streamChat, type ChatEvent} from "../src/hub/chat";
import {consents} from "../src/hub/consents";
import {errorMessage} from "../src/hub/http";

const kept = new Map<string, string>();
beforeEach(() => {
  vi.stubGlobal("sessionStorage", {
    getItem: (k: string) => kept.get(k) ?? null,
    setItem: (k: string, v: string) => kept.set(k, v),
    removeItem: (k: string) => kept.delete(k),
  });
});
afterEach(() => {
  kept.clear();
  vi.unstubAllGlobals();
});

function answerWith(body: string, status = 200): ReturnType<typeof vi.fn> {
  const fake = vi.fn(async () => new Response(body, {status}));
  vi.stubGlobal("fetch", fake);
  return fake;
}

async function collect(): Promise<ChatEvent[]> {
  const events: ChatEvent[] = [];
  const ask = {model: "m", messages: [{role: "user" as const, content: "hi"}]};
  for await (const event of streamChat(ask, new AbortController().signal)) events.push(event);
  return events;
}

const chunk = (delta: unknown, more = {}): string => `data: ${JSON.stringify({choices: [{delta, ...more}]})}\n\n`;

describe("a streamed answer", () => {
  it("asks for consent as long as it streams", async () => {
    vi.stubGlobal("requestAnimationFrame", () => 1);
    answerWith(`: x-hearth-consent: {"id":"c-1"}\n\n${chunk({content: "Hi"})}`);
    const seen: unknown[] = [];
    const ask = {model: "m", messages: []};
    for await (const event of streamChat(ask, new AbortController().signal)) seen.push([event.kind, consents.waiting.map(({id}) => id)]);
    expect(seen).toEqual([["status", ["c-1"]], ["text", ["c-1"]]]);
    expect(consents.waiting).toEqual([]);
  });

  it("has its pieces in order, with thinking, status, tokens and receipt", async () => {
    const logprobs = {content: [{token: "Hi", logprob: 0, bytes: [72, 105], top_logprobs: [
      {token: "Hi", logprob: 0, bytes: null}, {token: "Ho", logprob: Math.log(0.25), bytes: null}]}]};
    answerWith(`: asking x\n: x-hearth-receipt: r-1\n${chunk({reasoning_content: "hm"})}${chunk({content: "Hi"}, {logprobs})}` +
      `${chunk({}, {finish_reason: "stop"})}data: {"choices":[],"hearth":{"id":"r-1"}}\n\ndata: [DONE]\n\n`);
    expect(await collect()).toEqual([
      {kind: "status", text: "asking x"},
      {kind: "thinking", text: "hm"},
      {kind: "text", text: "Hi", tokens: [{text: "Hi", p: 1, others: [{text: "Ho", p: 0.25}]}]},
      {kind: "end", reason: "stop"},
      {kind: "receipt", receipt: {id: "r-1"}},
    ]);
  });

  it("puts the parts of a character together", async () => {
    const token = (bytes: number[]): unknown => ({logprobs: {content: [{token: "\ufffd", logprob: 0, bytes}]}});
    answerWith(chunk({content: ""}, token([0xe2, 0x82]) as object) + chunk({content: "€"}, token([0xac]) as object));
    const texts = (await collect()).flatMap((event) => (event.kind === "text" ? event.tokens.map((t) => t.text) : []));
    expect(texts).toEqual(["", "€"]);
  });

  it("ends with the hub's own words where the hub refuses or breaks off", async () => {
    answerWith('{"error":{"message":"no model named m"}}', 404);
    await expect(collect()).rejects.toThrow("no model named m");
    answerWith('data: {"error":{"message":"cut off"}}\n\n');
    await expect(collect()).rejects.toThrow("cut off");
  });

  it("carries the key, and only where there is one", async () => {
    const fake = answerWith("data: [DONE]\n\n");
    await collect();
    expect((fake.mock.calls[0][1].headers as Headers).has("Authorization")).toBe(false);
    kept.set("hearth-key", "secret-key");
    await collect();
    expect((fake.mock.calls[1][1].headers as Headers).get("Authorization")).toBe("Bearer secret-key");
  });
});

describe("what is asked", () => {
  it("says of what was not set nothing", () => {
    const body = chatBody({model: "m", messages: []});
    expect(body).not.toHaveProperty("temperature");
    expect(body).not.toHaveProperty("hearth");
    expect(chatBody({model: "m", messages: [], advice: "never", temperature: 0})).toMatchObject({
      hearth: {advice: "never"}, temperature: 0, stream: true, logprobs: true});
  });
});

describe("an error's sentence", () => {
  it("is found in each protocol's shape", () => {
    expect(errorMessage(400, '{"error":{"message":"a"}}')).toBe("a");
    expect(errorMessage(400, '{"error":"b"}')).toBe("b");
    expect(errorMessage(502, "<html>")).toBe("the hub answered with status 502");
  });
});

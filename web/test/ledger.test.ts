import {describe, expect, it, vi} from "vitest";
import {adviceText} from "../src/chat/receipt-line";
import {consentIn} from "../src/hub/consents";
import type {EgressRow, Receipt} from "../src/hub/types";
import {byAdviser, byConfidence, byDay, callsOf, withEmptyDays} from "../src/ledger/sums";

vi.stubGlobal("requestAnimationFrame", () => 1);

const receipt = (more: Partial<Receipt>): Receipt =>
  ({at_unix_us: 0, bytes_out: 0, cost_usd_micro: 0, confidence: 0, advice: "not_needed", adviser: "", upstream: "", end: "stop",
    usage: {completion_tokens: 1}, ...more}) as Receipt;

describe("receipts together", () => {
  it("are summed by day of UTC", () => {
    const day = 86_400_000_000;
    expect(byDay([receipt({at_unix_us: day + 5, bytes_out: 3, cost_usd_micro: 7}), receipt({at_unix_us: day * 2 - 1}), receipt({at_unix_us: 1})])).toEqual([
      {at: 0, answers: 1, local: 1, bytesOut: 0, costMicro: 0},
      {at: 86_400, answers: 2, local: 1, bytesOut: 3, costMicro: 7},
    ]);
  });

  it("have the days between, within bounds", () => {
    const day = (at: number) => ({at: at * 86_400, answers: 1, local: 1, bytesOut: 0, costMicro: 0});
    expect(withEmptyDays([day(1), day(4)], 1, 90).map((d) => d.answers)).toEqual([1, 0, 0, 1]);
    expect(withEmptyDays([day(1), day(4)], 1, 2).map((d) => d.at / 86_400)).toEqual([3, 4]);
    expect(withEmptyDays([day(4)], 3, 9)).toHaveLength(3);
    expect(withEmptyDays([], 3, 9)).toEqual([]);
  });

  it("are summed by adviser", () => {
    const sums = byAdviser([receipt({}), receipt({adviser: "a/m", advice: "advised", cost_usd_micro: 5}), receipt({adviser: "a/m", advice: "failed"})]);
    expect(sums).toEqual([{adviser: "a/m", asked: 2, advised: 1, failed: 1, costMicro: 5, bytesOut: 0}]);
  });

  it("are binned by confidence, to the last edge", () => {
    const bins = byConfidence([receipt({confidence: 1}), receipt({confidence: 0.05, advice: "advised"}), receipt({confidence: 0.05, advice: "failed"}), receipt({upstream: "x"})]);
    expect(bins[9].sure).toBe(1);
    expect(bins[0]).toMatchObject({sure: 0, advised: 1, unadvised: 1});
    const none = {completion_tokens: 0} as Receipt["usage"];
    const unjudged = byConfidence([receipt({end: "error"}), receipt({end: "cancelled"}), receipt({usage: none}), receipt({usage: none, advice: "not_allowed"})]);
    expect(unjudged[0]).toMatchObject({sure: 0, advised: 0, unadvised: 1});
  });

  it("have calls of two rows each", () => {
    const row = (seq: number, kind: "send" | "settle", call_seq: number) => ({seq, kind, call_seq}) as EgressRow;
    expect(callsOf([row(1, "send", 1), row(2, "send", 2), row(3, "settle", 1), row(4, "settle", 9)]).map((call) => [call.send.seq, call.settle?.seq]))
      .toEqual([[1, 3], [2, undefined]]);
  });
});

describe("what came of an answer", () => {
  it("is said of those that came to no end, too", () => {
    expect([{end: "error"}, {end: "cancelled"}, {}, {end: "error", advice: "failed"}].map((more) => adviceText(receipt(more))))
      .toEqual(["failed", "stopped", "no advice needed", "adviser failed"]);
  });
});

describe("a consent in a stream", () => {
  it("is a comment with its mark", () => {
    expect(consentIn('x-hearth-consent: {"id":"c-1","body":"b"}')).toEqual({id: "c-1", body: "b"});
    expect(consentIn("asking the adviser")).toBeUndefined();
  });
});

describe("live metrics", () => {
  it("are read from Prometheus' text, and rates from counters", async () => {
    const {parseMetrics, sampleOf} = await import("../src/live/samples");
    const before = parseMetrics("# HELP x y\nhearth_completion_tokens_total 10\nhearth_kv_bytes_max 100\nnonsense\nx{model=\"a b\"} 2\n");
    expect(before.get('x{model="a b"}')).toBe(2);
    const now = parseMetrics("hearth_completion_tokens_total 30\nhearth_kv_bytes_used 25\nhearth_kv_bytes_max 100\n");
    expect(sampleOf(now, before, 1, 2)).toMatchObject({decode: 10, kvShare: 0.25, prefill: 0});
    expect(sampleOf(now, undefined, 1, 2).decode).toBe(0);
  });
});

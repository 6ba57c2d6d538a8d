import {describe, expect, it} from "vitest";
import {newConversation} from "../src/chat/conversation";
import {merge} from "../src/chat/hub-history";
import {sampleOf, parseMetrics, temperaturesOf} from "../src/live/samples";

const own = (id: string, updatedAt: number, syncedAt?: number) => ({...newConversation("auto", updatedAt), id, updatedAt, syncedAt});
const head = (id: string, updated_at: number) => ({id, title: id, updated_at, bytes: 10});

describe("conversations here and on the hub", () => {
  it("are the newer of both, and what is there alone comes as a stub", () => {
    const {all, toPut} = merge([own("a", 5, 5), own("b", 9, 4)], [head("a", 7), head("b", 4), head("c", 8)]);
    expect(all.map((c) => [c.id, Boolean(c.isElsewhere)])).toEqual([["b", false], ["c", true], ["a", true]]);
    expect(toPut.map((c) => c.id)).toEqual(["b"]);
  });

  it("are put once, and not again after somebody deleted them there", () => {
    expect(merge([own("new", 5)], []).toPut).toHaveLength(1);
    expect(merge([own("deleted", 5, 5)], []).toPut).toHaveLength(0);
    expect(merge([own("changed since", 6, 5)], []).toPut).toHaveLength(1);
  });
});

describe("live figures", () => {
  const metrics = (steps: number, tokens: number) => parseMetrics([
    `hearth_engine_steps_total ${steps}`, `hearth_completion_tokens_total ${tokens}`, "hearth_kv_bytes_used 5", "hearth_kv_bytes_max 10",
    'hearth_temperature_celsius{sensor="coretemp Package id 0"} 48.5',
  ].join("\n"));

  it("say how many tokens a batch has, and how warm it is", () => {
    const sample = sampleOf(metrics(110, 340), metrics(100, 300), 1, 2);
    expect(sample).toMatchObject({decode: 20, perStep: 4, kvShare: 0.5, weightShare: 0, celsius: {"coretemp Package id 0": 48.5}});
    expect(sampleOf(metrics(1, 1), undefined, 1, 0).perStep).toBe(0);
    expect(temperaturesOf(new Map([["hearth_other", 1]]))).toEqual({});
  });
});

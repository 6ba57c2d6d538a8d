import {beforeAll, describe, expect, it, vi} from "vitest";
import type {Comparison} from "../src/compare/compare-store";
import {commonPrefix, divergenceOf} from "../src/compare/divergence";
import {ELO_START, ranking, vote} from "../src/compare/elo";
import {asCsv, asJson, asMarkdown, csvCell} from "../src/compare/export";

let store: typeof import("../src/compare/compare-store");
beforeAll(async () => {
  vi.stubGlobal("localStorage", {getItem: () => null, setItem: () => undefined});
  vi.stubGlobal("requestAnimationFrame", () => 1);
  store = await import("../src/compare/compare-store");
});

describe("where answers part", () => {
  it("is counted in whole characters, and in bytes as the command line counts", () => {
    expect(commonPrefix("abc", "abd")).toBe(2);
    expect(commonPrefix("a😀", "a😁")).toBe(1);
    expect(commonPrefix("same", "same")).toBe(4);
    const found = divergenceOf("é two", [{text: "é", p: 1, others: []}, {text: " two", p: 0.4, others: []}], "é one");
    expect(found).toMatchObject({at: 2, sameBytes: 3, isSame: false, here: {text: " two", p: 0.4}});
  });
});

describe("Elo", () => {
  it("moves what was expected little and what was not much", () => {
    const once = vote({}, ["a", "b"], "a");
    expect([once.a.points, once.b.points]).toEqual([ELO_START + 16, ELO_START - 16]);
    const upset = vote({a: {...once.a, points: 1400}, b: once.b}, ["a", "b"], "b");
    expect(upset.b.points - once.b.points).toBeGreaterThan(28);
  });

  it("keeps the sum, whatever is voted", () => {
    let ratings = {};
    for (const winner of ["a", null, "c", "b", "a", null]) ratings = vote(ratings, ["a", "b", "c"], winner);
    const rows = ranking(ratings);
    expect(rows.reduce((sum, row) => sum + row.points, 0)).toBeCloseTo(3 * ELO_START);
    expect(rows[0].model).toBe("a");
    expect(rows.map((row) => row.wins + row.losses + row.draws)).toEqual(expect.arrayContaining([expect.any(Number)]));
  });

  it("does not let losers play each other", () => {
    const ratings = vote({}, ["a", "b", "c"], "a");
    expect(ratings.b).toMatchObject({wins: 0, losses: 1, draws: 0});
    expect(ratings.a.wins).toBe(2);
  });
});

describe("a comparison's files", () => {
  const answer = (model: string, text: string) => ({model, text, thinking: "", tokens: [], state: "done" as const, status: "", error: ""});
  const comparisons: Comparison[] = [{prompt: 'Say "hi"', answers: [answer("a", "hi, you"), answer("b", "hi, me")], order: [0, 1], isBlind: true}];

  it("survive quotes and lines, and hold no formula", () => {
    expect(asCsv(comparisons)).toContain('"Say ""hi""","b","hi, me"');
    expect(csvCell('=HYPERLINK("http://x")')).toBe('"\'=HYPERLINK(""http://x"")"');
    expect(csvCell("-1.5")).toBe('"-1.5"');
    expect(asCsv(comparisons).split("\r\n")).toHaveLength(4);
  });

  it("have what the command line's have", () => {
    expect(JSON.parse(asJson(comparisons))[1]).toMatchObject({model: "b", prompt: 'Say "hi"', answer: "hi, me", same_bytes: 4, same: false});
    expect(asMarkdown(comparisons)).toContain("## b\n\nhi, me");
  });
});

describe("prompts of a file", () => {
  it("are its lines, up to the limit", () => {
    expect(store.promptsOf("a\r\n\n  \nb\n")).toEqual(["a", "b"]);
    expect(store.promptsOf("x\n".repeat(2000))).toHaveLength(store.PROMPTS_MAX);
  });

  it("are shown in any order, each once", () => {
    expect([...store.shuffled(6)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

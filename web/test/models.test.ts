import {describe, expect, it} from "vitest";
import {formatParams, formatSpeed} from "../src/base/format";
import {inOrderOf} from "../src/models/models-view";
import {advance, LineReader, NO_PROGRESS, sumOf, type PullLine} from "../src/models/pull-lines";
import {Rate} from "../src/models/pull-store";

const after = (lines: PullLine[]) => lines.reduce(advance, NO_PROGRESS);

describe("a pull's lines", () => {
  it("come from pieces of any size", () => {
    const reader = new LineReader();
    const text = '{"status":"a"}\n\n{"status":"é"}\n{"rest';
    const lines = [...text].flatMap((piece) => reader.feed(piece));
    expect(lines).toEqual(['{"status":"a"}', '{"status":"é"}']);
    expect(() => reader.feed("x".repeat((1 << 20) + 1))).toThrow("longer");
  });

  it("add up over files", () => {
    const progress = after([
      {status: "pulling manifest"},
      {status: "pulling a", digest: "sha256:a", total: 100, completed: 40},
      {status: "pulling a", digest: "sha256:a", total: 100, completed: 100},
      {status: "pulling b", digest: "sha256:b", total: 50, completed: 0},
    ]);
    expect(sumOf(progress.files)).toEqual({total: 150, completed: 100});
    expect(progress.isDone).toBe(false);
  });

  it("end with the model's name here, or with what went wrong", () => {
    const done = after([{status: "success", hearth: {model: "tiny", problem: "no tokenizer"}}]);
    expect(done).toMatchObject({isDone: true, model: "tiny", problem: "no tokenizer"});
    expect(after([{status: "pulling x", completed: 1}, {error: "the line broke"}])).toMatchObject({isDone: false, error: "the line broke"});
  });

  it("have a speed over the last seconds", () => {
    const rate = new Rate();
    expect(rate.at(0, 0)).toBe(0);
    expect(rate.at(1000, 500)).toBe(500);
    for (let ms = 2000; ms <= 10_000; ms += 1000) rate.at(ms, 500);
    expect(rate.at(11_000, 500)).toBe(0);
  });
});

describe("the list of models", () => {
  it("keeps its order, and takes a new one in where it belongs", () => {
    expect(inOrderOf([], ["b", "a"])).toEqual(["b", "a"]);
    expect(inOrderOf(["a", "b", "c"], ["c", "a", "b"])).toEqual(["a", "b", "c"]);
    expect(inOrderOf(["a", "b", "c"], ["c", "new", "a"])).toEqual(["a", "c", "new"]);
    expect(inOrderOf(["a", "b"], ["x", "y", "b", "a"])).toEqual(["x", "y", "a", "b"]);
  });
});

describe("an estimate", () => {
  it("has no more digits than it deserves", () => {
    expect([formatSpeed(null), formatSpeed(7.36), formatSpeed(123.4), formatSpeed(0.44)]).toEqual(["–", "about 7.4", "about 120", "about 0.44"]);
    expect([formatParams(600_000_000), formatParams(30.5e9)]).toEqual(["600 M", "30.5 B"]);
  });
});

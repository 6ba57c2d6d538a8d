import {describe, expect, it} from "vitest";
import {rankOf, symbolsOf, trialSizes} from "../src/hub/kernels";
import {PICTURES} from "../src/silicon/architecture";
import {statedOf, termsOf} from "../src/silicon/kernel-detail";
import type {KernelWhole} from "../src/hub/kernels";
import {place, placeLabels, roofAt, scaleOf} from "../src/silicon/roofline";
import {pointsOf} from "../src/silicon/silicon-view";

const kernel: KernelWhole = {
  name: "a", key: "k", origin: "built-in", about: "", signature: "out f32[n]", determinism: "D2", flops: "n", bytes: null, errors: null, speed: null,
  verified_at: null, compiler: null, contract: null, source: null, receipt: null,
};

describe("a roofline", () => {
  it("has whole decades around what it shows", () => {
    expect(scaleOf([0.3, 40, 180])).toEqual({from: -1, to: 3});
    expect(scaleOf([5])).toEqual({from: 0, to: 2});
    expect(scaleOf([0, NaN])).toEqual({from: -1, to: 1});
    expect(place({from: 0, to: 2}, 10, 100, 300)).toBe(200);
  });

  it("is the lower of the two roofs", () => {
    expect(roofAt(0.5, 10, 100)).toBe(5);
    expect(roofAt(50, 10, 100)).toBe(100);
  });

  it("lays no name on another, nor on a point, and leads those that had to move", () => {
    const points = Array.from({length: 30}, (_, i) => ({x: 300 + (i % 3), y: 200 + i, name: `kernel_${i}`}));
    const labels = placeLabels(points);
    const boxes = labels.map(({x, y, text}) => ({left: x, right: x + text.length * 6.3, top: y - 9, bottom: y + 3}));
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) =>
      expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false)));
    expect(labels.filter((label) => label.lead).length).toBeGreaterThan(10);
    expect(placeLabels([{x: 400, y: 100, name: "alone"}])[0]).toMatchObject({x: 409, lead: undefined});
    expect(placeLabels([{x: 745, y: 100, name: "at_the_edge"}])[0].x).toBeLessThan(745); // To the left.
  });

  it("shows kernels that were timed", () => {
    const speed = {sizes: "n = 8", run_ns: 10, gflops: 4, gb_s: 8, roof_gflops: 100, roof_gb_s: 10, roof_percent: 80};
    const points = pointsOf([{...kernel, speed}, {...kernel, name: "b"}, {...kernel, name: "c", speed: {...speed, gb_s: 0}},
      {...kernel, name: "disturbed", speed: {...speed, roof_percent: 140}}]);
    expect(points).toEqual([{name: "a", intensity: 0.5, gops: 4, share: 0.8, hue: 2}]);
  });
});

describe("a signature", () => {
  it("names its symbols once", () => {
    expect(symbolsOf("out f32[m, n], a f32[m, k] strided, b f32[k, n], alpha f32, steps i64")).toEqual(["m", "n", "k", "steps"]);
    expect(rankOf("out f32[m, n], a f32[m]")).toBe(2);
    expect(trialSizes("out f32[n], a f32[n]")).toEqual({n: 1 << 22});
    expect(trialSizes("out f64[n, n]")).toEqual({n: 512});
    expect(trialSizes("inout f64[n, m], sweeps i64")).toEqual({n: 512, m: 512, sweeps: 4});
  });
});

describe("a kernel's terms", () => {
  it("leave out what is absent", () => {
    expect(termsOf(kernel)).toEqual([["Signature", "out f32[n]"], ["Operations", "n"], ["Bits", "D2"], ["Contract's key", "k"]]);
    expect(statedOf({best: 7, flags: ["-O3"]})).toEqual([["best", "7"], ["flags", '["-O3"]']]);
  });
});

describe("the pictures", () => {
  it("have a title and a description each", () => {
    for (const {source} of PICTURES) expect(source).toMatch(/^flowchart TB\n {2}accTitle: .+\n {2}accDescr: .+\n/);
  });
});

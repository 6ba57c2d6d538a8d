// The search for a group's scale: small kernels over 16 or 32 weights.
//
// A group is written as w = scale * q + offset with an integer q of `lo`..`hi`.  For given codes
// the best scale and offset are a weighted least-squares fit, and for given scale and offset the
// best codes are the nearest; so each kernel starts from several scales around the one that just
// spans the group (rounding makes the error a saw-tooth in the scale, with many local minima), fits
// each, keeps the best and lets the two steps take turns until nothing is gained.
//
// Each kernel adds in the same eight lanes in the same order on every instruction set, and fuses no
// product with a sum: the bytes of a quantised file do not depend on the machine.
#pragma once

namespace hearth::tensor::quant {

// Which codes a group has, and the scales that are tried first: those that spread the group over
// span + first, span + first + step, ... codes (`count` of them), where span is `hi` - `lo` for
// groups with an offset, and -`lo` for those without.
struct Codes {
  float lo, hi;
  float first, step;
  int count;
};

struct Fit {
  float scale = 0;
  float offset = 0;
};

// x: the weights; w: what an error of each costs, at least 0 and not all 0.
using FitFn = Fit (*)(const float* x, const float* w, const Codes& codes);
// The cost of writing x with `fit` and the nearest codes.
using CostFn = float (*)(const float* x, const float* w, const Codes& codes, Fit fit);

// Sums over the group and its nearest codes q under a fit; what a refit of shared scales needs.
struct Moments {
  float w, wx, wq, wqq, wqx;
};
using MomentsFn = Moments (*)(const float* x, const float* w, const Codes& codes, Fit fit);

struct Kernels {
  FitFn symmetric;  // offset = 0; the scale may be negative, so that the larger end has more codes.
  FitFn lowered;    // scale >= 0 and offset <= 0: the formats with a min.
  FitFn affine;     // scale >= 0 and any offset.
  FitFn iq4;        // offset = 0, and codes that kIq4Values maps; of `codes` nothing is used.
  CostFn cost;
  MomentsFn moments;
};

// For groups of kGroup weights (16 or 32): the best that this machine has.
template <int kGroup>
const Kernels& kernels_for_group();

}  // namespace hearth::tensor::quant

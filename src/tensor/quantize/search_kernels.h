// The kernels of search.h.  Compiled once per instruction set, each time into an unnamed namespace,
// so that no function of one is linked into the other; vectors are passed by reference, since by
// value their calling convention differs.
#pragma once

#include "tensor/blocks.h"
#include "tensor/quantize/search.h"

namespace hearth::tensor::quant {
namespace {

using V = float __attribute__((vector_size(32)));
constexpr int kLanes = 8;
constexpr int kTurnsMax = 3;  // Of fitting and rounding; a fourth gains less than 0.1 %.

#define HEARTH_QUANT_INLINE [[gnu::always_inline]] inline

HEARTH_QUANT_INLINE float sum(const V& v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

HEARTH_QUANT_INLINE void clamp(V& v, float lo, float hi) {
  v = v < lo ? V{} + lo : v;
  v = v > hi ? V{} + hi : v;
}

// To the nearest integer, ties to even, for |v| < 2^22: adding 1.5 * 2^23 leaves no room for a
// fraction.  The clamp before it keeps large values in that range.
HEARTH_QUANT_INLINE void round_to_code(V& v, const Codes& codes) {
  constexpr float kMagic = 12582912.0F;
  clamp(v, codes.lo, codes.hi);
  v = (v + kMagic) - kMagic;
}

template <int kGroup>
struct Group {
  static constexpr int kVectors = kGroup / kLanes;
  V x[kVectors], w[kVectors];
  float sum_w = 0, sum_wx = 0;
  float least = 0, most = 0;  // Of x.
  float peak = 0;             // The x of the largest magnitude, with its sign.

  HEARTH_QUANT_INLINE Group(const float* values, const float* weights) {
    __builtin_memcpy(x, values, sizeof x);
    __builtin_memcpy(w, weights, sizeof w);
    V total_w{}, total_wx{};
    for (int i = 0; i < kVectors; ++i) {
      total_w += w[i];
      total_wx += w[i] * x[i];
    }
    sum_w = sum(total_w);
    sum_wx = sum(total_wx);
    least = most = values[0];
    for (int i = 1; i < kGroup; ++i) {
      least = values[i] < least ? values[i] : least;
      most = values[i] > most ? values[i] : most;
    }
    peak = -least > most ? least : most;
  }

  HEARTH_QUANT_INLINE Moments moments(float offset, float inverse, const Codes& codes) const {
    V wq_total{}, wqq_total{}, wqx_total{};
    for (int i = 0; i < kVectors; ++i) {
      V q = (x[i] - offset) * inverse;
      round_to_code(q, codes);
      const V wq = w[i] * q;
      wq_total += wq;
      wqq_total += wq * q;
      wqx_total += wq * x[i];
    }
    return {sum_w, sum_wx, sum(wq_total), sum(wqq_total), sum(wqx_total)};
  }
};

// A fit and how much of the weights' energy it explains; more is better.
struct Candidate {
  Fit fit;
  float gain = -1;
};

template <int kGroup>
HEARTH_QUANT_INLINE Candidate fit_scale(const Group<kGroup>& group, float inverse,
                                        const Codes& codes) {
  const Moments m = group.moments(0.0F, inverse, codes);
  if (!(m.wqq > 0)) return {};
  const float scale = m.wqx / m.wqq;
  return {{scale, 0.0F}, scale * m.wqx};
}

template <int kGroup>
Fit symmetric(const float* x, const float* w, const Codes& codes) {
  const Group<kGroup> group(x, w);
  if (group.peak == 0) return {};
  Candidate best;
  for (int i = 0; i < codes.count; ++i) {
    const float span = -codes.lo + codes.first + codes.step * static_cast<float>(i);
    const Candidate next = fit_scale(group, -span / group.peak, codes);
    if (next.gain > best.gain) best = next;
  }
  for (int turn = 0; turn < kTurnsMax && best.fit.scale != 0; ++turn) {
    const Candidate next = fit_scale(group, 1.0F / best.fit.scale, codes);
    if (!(next.gain > best.gain)) break;
    best = next;
  }
  return best.fit;
}

template <int kGroup, bool kAnyOffset>
HEARTH_QUANT_INLINE Candidate fit_both(const Group<kGroup>& group, float offset, float inverse,
                                       const Codes& codes) {
  const Moments m = group.moments(offset, inverse, codes);
  const float determinant = group.sum_w * m.wqq - m.wq * m.wq;
  if (!(determinant > 0) || !(m.wqq > 0)) return {};
  Fit fit{(group.sum_w * m.wqx - group.sum_wx * m.wq) / determinant,
          (m.wqq * group.sum_wx - m.wq * m.wqx) / determinant};
  if (!kAnyOffset && fit.offset > 0) fit = {m.wqx / m.wqq, 0.0F};
  if (!(fit.scale > 0)) return {};
  return {fit, fit.scale * m.wqx + fit.offset * group.sum_wx};
}

template <int kGroup, bool kAnyOffset>
Fit with_offset(const float* x, const float* w, const Codes& codes) {
  const Group<kGroup> group(x, w);
  const float low = !kAnyOffset && group.least > 0 ? 0.0F : group.least;
  const float range = group.most - low;
  if (!(range > 0)) return {0.0F, low};
  Candidate best;
  for (int i = 0; i < codes.count; ++i) {
    const float span = codes.hi - codes.lo + codes.first + codes.step * static_cast<float>(i);
    const Candidate next = fit_both<kGroup, kAnyOffset>(group, low, span / range, codes);
    if (next.gain > best.gain) best = next;
  }
  if (!(best.gain >= 0)) return {range / (codes.hi - codes.lo), low};
  for (int turn = 0; turn < kTurnsMax; ++turn) {
    const Fit& fit = best.fit;
    const Candidate next = fit_both<kGroup, kAnyOffset>(group, fit.offset, 1.0F / fit.scale, codes);
    if (!(next.gain > best.gain)) break;
    best = next;
  }
  return best.fit;
}

template <int kGroup>
float cost(const float* x, const float* w, const Codes& codes, Fit fit) {
  constexpr int kVectors = kGroup / kLanes;
  V values[kVectors], weights[kVectors];
  __builtin_memcpy(values, x, sizeof values);
  __builtin_memcpy(weights, w, sizeof weights);
  const float inverse = fit.scale == 0 ? 0.0F : 1.0F / fit.scale;
  V total{};
  for (int i = 0; i < kVectors; ++i) {
    V q = (values[i] - fit.offset) * inverse;
    round_to_code(q, codes);
    const V error = values[i] - (q * fit.scale + fit.offset);
    total += weights[i] * error * error;
  }
  return sum(total);
}

template <int kGroup>
Moments moments(const float* x, const float* w, const Codes& codes, Fit fit) {
  const Group<kGroup> group(x, w);
  return group.moments(fit.offset, fit.scale == 0 ? 0.0F : 1.0F / fit.scale, codes);
}

// ---- Codes that a table maps ----

// To the nearest of kIq4Values, which ascend: each midpoint that lies below adds a step.
HEARTH_QUANT_INLINE void round_to_iq4(V& v) {
  V value = V{} + static_cast<float>(kIq4Values[0]);
  for (int k = 0; k < 15; ++k) {
    const auto low = static_cast<float>(kIq4Values[k]);
    const auto high = static_cast<float>(kIq4Values[k + 1]);
    value += v > (low + high) / 2 ? V{} + (high - low) : V{};
  }
  v = value;
}

template <int kGroup>
HEARTH_QUANT_INLINE Candidate fit_iq4(const Group<kGroup>& group, float inverse) {
  V wqq_total{}, wqx_total{};
  for (int i = 0; i < kGroup / kLanes; ++i) {
    V q = group.x[i] * inverse;
    round_to_iq4(q);
    const V wq = group.w[i] * q;
    wqq_total += wq * q;
    wqx_total += wq * group.x[i];
  }
  const float wqq = sum(wqq_total);
  const float wqx = sum(wqx_total);
  if (!(wqq > 0)) return {};
  return {{wqx / wqq, 0.0F}, wqx * wqx / wqq};
}

// The table is not symmetric: both its ends are tried for the largest weight.
template <int kGroup>
Fit iq4(const float* x, const float* w, const Codes&) {
  const Group<kGroup> group(x, w);
  if (group.peak == 0) return {};
  Candidate best;
  constexpr float kEnds[] = {-127.0F, 113.0F};
  for (const float end : kEnds) {
    for (int step = -7; step <= 7; ++step) {
      const Candidate next = fit_iq4(group, (end + static_cast<float>(step)) / group.peak);
      if (next.gain > best.gain) best = next;
    }
  }
  for (int turn = 0; turn < kTurnsMax && best.fit.scale != 0; ++turn) {
    const Candidate next = fit_iq4(group, 1.0F / best.fit.scale);
    if (!(next.gain > best.gain)) break;
    best = next;
  }
  return best.fit;
}

template <int kGroup>
constexpr Kernels kTable = {.symmetric = symmetric<kGroup>,
                            .lowered = with_offset<kGroup, false>,
                            .affine = with_offset<kGroup, true>,
                            .iq4 = iq4<kGroup>,
                            .cost = cost<kGroup>,
                            .moments = moments<kGroup>};

#undef HEARTH_QUANT_INLINE

}  // namespace
}  // namespace hearth::tensor::quant

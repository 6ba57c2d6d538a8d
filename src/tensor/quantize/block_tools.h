// What the block writers share: half-precision scales, codes under a fit, and the cost of errors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tensor/blocks.h"
#include "tensor/float_formats.h"
#include "tensor/quantize/search.h"

namespace hearth::tensor::quant {

constexpr float kHalfMax = 65504.0F;

// Stores `value` as a half and returns what a reader will see.
inline float put_half(HalfBytes& out, float value) {
  if (!std::isfinite(value)) value = 0;
  const F16 bits = f16_from_f32(std::clamp(value, -kHalfMax, kHalfMax));
  out[0] = static_cast<std::uint8_t>(bits & 255);
  out[1] = static_cast<std::uint8_t>(bits >> 8);
  return f32_from_f16(bits);
}

// Ties to even; lo and hi lie within 2^22, where adding 1.5 * 2^23 leaves no room for a fraction
// (std::nearbyint is a call on the baseline instruction set).
inline int nearest_int(float value, float lo, float hi) {
  constexpr float kMagic = 12582912.0F;
  // A NaN fails the comparison and becomes `lo`.
  const float clamped = value > lo ? std::min(value, hi) : lo;
  return static_cast<int>((clamped + kMagic) - kMagic);
}

// codes[i] = the code nearest to x[i] under `fit`, for i < n.
template <class Code>
void nearest_codes(const float* x, int n, const Codes& codes, Fit fit, Code* out) {
  const float inverse = fit.scale == 0 ? 0.0F : 1.0F / fit.scale;
  for (int i = 0; i < n; ++i) {
    out[i] = static_cast<Code>(nearest_int((x[i] - fit.offset) * inverse, codes.lo, codes.hi));
  }
}

// What an error counts where no importance says so.  Evenly is best from four bits on; with two and
// three, models lose less when large weights count more (measured on ember: mean divergence of
// Q2_K 0.25 against 0.29, of Q3_K_M 0.059 against 0.074).
enum class Unguided : std::uint8_t { kEven, kBySize };

// What an error of each of the n weights at x costs.  `importance` may be null; where it is not,
// large weights cost somewhat more too, since they stand for directions that the model uses.
inline void fill_costs(const float* x, const float* importance, int n, float* out,
                       Unguided unguided = Unguided::kEven) {
  float sum_squares = 0;
  for (int i = 0; i < n; ++i) sum_squares += x[i] * x[i];
  const float mean_square = sum_squares / static_cast<float>(n);
  const float spread = std::sqrt(mean_square);
  float total = 0;
  for (int i = 0; i < n; ++i) {
    if (importance != nullptr) {
      out[i] = importance[i] * std::sqrt(2 * mean_square + x[i] * x[i]);
    } else {
      out[i] = unguided == Unguided::kEven ? 1.0F : spread + std::abs(x[i]);
    }
    total += out[i];
  }
  if (total > 0 && std::isfinite(total)) return;
  std::fill(out, out + n,
            1.0F);  // No input ever reached these weights, or beyond what floats hold.
}

}  // namespace hearth::tensor::quant

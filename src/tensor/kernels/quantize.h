// Activations to 8 bits, in groups of 32 with a float scale each.
//
//   scale = max |x| / 127,   q = x * (127 / max |x|), to nearest, ties to even
//
// A group with an infinity or a NaN gets a scale that is none, so its products are NaN; one that is
// all (nearly) zero gets scale 0.
#pragma once

#include "tensor/kernels/inline.h"
#include "tensor/kernels/panel.h"

namespace hearth::tensor {

// Below this, 127 / max overflows; such activations are zero for every purpose.
inline constexpr float kActivationMin = 1e-35F;

template <class S>
void quantize_row(const float* x, std::uint32_t n, std::int8_t* q, float* scale,
                  std::int32_t* sums_16) {
  using I = typename S::I;
  using F = typename S::F;
  for (std::uint32_t group = 0; group * kGroupCols < n; ++group, x += kGroupCols, q += kGroupCols) {
    const F low = S::load_f(x);
    const F high = S::load_f(x + 16);
    // Magnitudes compare like their bits, and so NaN counts as the largest.
    const I magnitude = S::set1(0x7FFFFFFFU);
    const std::uint32_t max_bits = S::max_u32_lane(S::max_u32(
        S::bit_and(S::as_bits(low), magnitude), S::bit_and(S::as_bits(high), magnitude)));
    float max;
    __builtin_memcpy(&max, &max_bits, sizeof max);
    const bool is_zero = max < kActivationMin;
    const F inverse = S::set1_f(is_zero ? 0.0F : 127.0F / max);
    scale[group] = is_zero ? 0.0F : max / 127.0F;
    const I q_low = S::to_int(S::mul(low, inverse));
    const I q_high = S::to_int(S::mul(high, inverse));
    S::store_i8(q, q_low);
    S::store_i8(q + 16, q_high);
    // Of the lanes before saturation: they differ only where the scale is NaN or infinite anyway.
    sums_16[2 * group] = S::sum32(q_low);
    sums_16[2 * group + 1] = S::sum32(q_high);
  }
}

}  // namespace hearth::tensor

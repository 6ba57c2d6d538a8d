// Half-precision formats, one number at a time.  Rows go through vector_ops.h.
#pragma once

#include <bit>
#include <cstdint>

namespace hearth::tensor {

using F16 = std::uint16_t;   // The bits of an IEEE binary16.
using BF16 = std::uint16_t;  // The upper half of an IEEE binary32.

inline float f32_from_bf16(BF16 bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

inline float f32_from_f16(F16 bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t magnitude = bits & 0x7FFFU;
  // Infinity and NaN: the exponent field moves from all ones to all ones.
  if (magnitude >= 0x7C00U) return std::bit_cast<float>(sign | 0x7F800000U | (magnitude << 13));
  // Shifting the fields into place leaves the exponent biased by 15 instead of 127; a product with
  // 2^112 corrects that and also normalises subnormals, exactly.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | sign);
}

// To nearest, ties to even; beyond the range, infinity; NaN stays NaN.
inline F16 f16_from_f32(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) {
    return static_cast<F16>(sign | 0x7E00U | ((magnitude >> 13) & 0x3FFU));
  }
  if (magnitude >= 0x477FF000U) return static_cast<F16>(sign | 0x7C00U);  // 65520 and up.
  if (magnitude < 0x38800000U) {
    // Subnormal: adding 0.5 puts the unit of 2^-24 at the last bit, and the addition rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<F16>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1U;
  return static_cast<F16>(sign | ((magnitude - 0x38000000U + 0xFFFU + odd) >> 13));
}

}  // namespace hearth::tensor

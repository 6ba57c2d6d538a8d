// For dequantize.cpp: the block types of less than three bits.
#pragma once

#include "tensor/blocks.h"
#include "tensor/float_formats.h"

namespace hearth::tensor {

// Each writes the block's 256 weights.
void expand(const BlockIQ2_XXS& b, float* out);
void expand(const BlockIQ2_XS& b, float* out);
void expand(const BlockIQ2_S& b, float* out);
void expand(const BlockIQ3_XXS& b, float* out);
void expand(const BlockIQ3_S& b, float* out);
void expand(const BlockIQ1_S& b, float* out);
void expand(const BlockIQ1_M& b, float* out);
void expand(const BlockTQ1_0& b, float* out);
void expand(const BlockTQ2_0& b, float* out);

inline float half(const HalfBytes& bytes) {
  return f32_from_f16(static_cast<F16>(bytes[0] | (bytes[1] << 8)));
}

// The two bits of weight i that Q2_K, Q3_K and TQ2_0 keep in qs.
inline int two_bits(const std::uint8_t* qs, int i) {
  const int plane = (i / 32) % 4;
  return (qs[i / 128 * 32 + i % 32] >> (2 * plane)) & 3;
}

}  // namespace hearth::tensor

// One function per block type, written from the format's definition (blocks.h) and kept plain: what
// the vector kernels do in their own way is tested against these.
#include "tensor/dequantize.h"

#include <bit>
#include <cstring>

#include "base/result.h"
#include "tensor/blocks.h"
#include "tensor/dequantize_grids.h"
#include "tensor/float_formats.h"

namespace hearth::tensor {
namespace {

void expand(const BlockQ4_0& b, float* out) {
  const float d = half(b.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((b.qs[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((b.qs[i] >> 4) - 8);
  }
}

void expand(const BlockQ4_1& b, float* out) {
  const float d = half(b.d);
  const float m = half(b.m);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(b.qs[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(b.qs[i] >> 4) + m;
  }
}

// Weight i of a block with 16 bytes of nibbles and 32 fifth bits.
int five_bits(const std::uint8_t* qs, const std::uint8_t* qh, int i) {
  const int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
  return low | (((qh[i / 8] >> (i % 8)) & 1) << 4);
}

void expand(const BlockQ5_0& b, float* out) {
  const float d = half(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(b.qs, b.qh, i) - 16);
}

void expand(const BlockQ5_1& b, float* out) {
  const float d = half(b.d);
  const float m = half(b.m);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(b.qs, b.qh, i)) + m;
}

void expand(const BlockQ8_0& b, float* out) {
  const float d = half(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(b.qs[i]);
}

void expand(const BlockQ2_K& b, float* out) {
  const float d = half(b.d);
  const float dmin = half(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const int scale = b.scales[i / 16] & 15;
    const int min = b.scales[i / 16] >> 4;
    out[i] = d * static_cast<float>(scale) * static_cast<float>(two_bits(b.qs, i)) -
             dmin * static_cast<float>(min);
  }
}

int q3_scale(const BlockQ3_K& b, int group) {
  const int low = group < 8 ? b.scales[group] & 15 : b.scales[group - 8] >> 4;
  const int high = (b.scales[8 + group % 4] >> (2 * (group / 4))) & 3;
  return (low | (high << 4)) - 32;
}

void expand(const BlockQ3_K& b, float* out) {
  const float d = half(b.d);
  for (int i = 0; i < 256; ++i) {
    const int high = (b.hmask[i % 32] >> (i / 32)) & 1;
    const int q = two_bits(b.qs, i) - (high != 0 ? 0 : 4);
    out[i] = d * static_cast<float>(q3_scale(b, i / 16)) * static_cast<float>(q);
  }
}

struct ScaleMin {
  int scale;
  int min;
};

// Groups 0-3 have the low six bits of bytes 0-3 (scale) and 4-7 (min); groups 4-7 have the nibbles
// of bytes 8-11, with the top bit pairs of the earlier bytes above them.
ScaleMin k4_scale_min(const std::uint8_t* s, int group) {
  if (group < 4) return {s[group] & 63, s[group + 4] & 63};
  return {(s[group + 4] & 15) | ((s[group - 4] >> 6) << 4),
          (s[group + 4] >> 4) | ((s[group] >> 6) << 4)};
}

// Nibble i of the 128 bytes that Q4_K and Q5_K share.
int k4_nibble(const std::uint8_t* qs, int i) {
  const std::uint8_t byte = qs[i / 64 * 32 + i % 32];
  return i % 64 < 32 ? byte & 15 : byte >> 4;
}

void expand(const BlockQ4_K& b, float* out) {
  const float d = half(b.d);
  const float dmin = half(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const auto [scale, min] = k4_scale_min(b.scales, i / 32);
    out[i] = d * static_cast<float>(scale) * static_cast<float>(k4_nibble(b.qs, i)) -
             dmin * static_cast<float>(min);
  }
}

void expand(const BlockQ5_K& b, float* out) {
  const float d = half(b.d);
  const float dmin = half(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const auto [scale, min] = k4_scale_min(b.scales, i / 32);
    const int q = k4_nibble(b.qs, i) | (((b.qh[i % 32] >> (i / 32)) & 1) << 4);
    out[i] = d * static_cast<float>(scale) * static_cast<float>(q) - dmin * static_cast<float>(min);
  }
}

void expand(const BlockQ6_K& b, float* out) {
  const float d = half(b.d);
  for (int i = 0; i < 256; ++i) {
    const int h = i / 128;
    const int plane = i % 128 / 32;
    const std::uint8_t low = b.ql[64 * h + 32 * (plane % 2) + i % 32];
    const int nibble = plane < 2 ? low & 15 : low >> 4;
    const int high = (b.qh[32 * h + i % 32] >> (2 * plane)) & 3;
    const int q = (nibble | (high << 4)) - 32;
    out[i] = d * static_cast<float>(b.scales[i / 16]) * static_cast<float>(q);
  }
}

void expand(const BlockIQ4_NL& b, float* out) {
  const float d = half(b.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(kIq4Values[b.qs[i] & 15]);
    out[i + 16] = d * static_cast<float>(kIq4Values[b.qs[i] >> 4]);
  }
}

void expand(const BlockIQ4_XS& b, float* out) {
  const float d = half(b.d);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 32;
    const int low = (b.scales_l[group / 2] >> (4 * (group % 2))) & 15;
    const int high = (b.scales_h[group / 4] >> (2 * (group % 4))) & 3;
    const std::uint8_t byte = b.qs[group * 16 + i % 16];
    const int q = i % 32 < 16 ? byte & 15 : byte >> 4;
    out[i] = d * static_cast<float>((low | (high << 4)) - 32) * static_cast<float>(kIq4Values[q]);
  }
}

// 2^(e - 128): half of the E8M0 scale, since kFp4Values are doubled.  255 is NaN by the standard.
float half_e8m0(std::uint8_t e) {
  if (e == 255) return std::bit_cast<float>(0x7FC00000U);
  const std::uint32_t bits = e < 2 ? 0x00200000U << e : static_cast<std::uint32_t>(e - 1) << 23;
  return std::bit_cast<float>(bits);
}

void expand(const BlockMXFP4& b, float* out) {
  const float d = half_e8m0(b.e);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(kFp4Values[b.qs[i] & 15]);
    out[i + 16] = d * static_cast<float>(kFp4Values[b.qs[i] >> 4]);
  }
}

template <class Block, std::size_t kBlockElements>
void expand_blocks(const std::byte* data, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; i += kBlockElements, data += sizeof(Block)) {
    Block block;
    std::memcpy(&block, data, sizeof block);
    expand(block, out + i);
  }
}

void copy_f32(const std::byte* data, std::size_t n, float* out) {
  std::memcpy(out, data, n * sizeof(float));
}

template <float (*kConvert)(std::uint16_t)>
void convert_16_bit(const std::byte* data, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, data + 2 * i, sizeof bits);
    out[i] = kConvert(bits);
  }
}

struct Row {
  DType type;
  void (*expand)(const std::byte* data, std::size_t n, float* out);
};

constexpr Row kRows[] = {
    {DType::kF32, copy_f32},
    {DType::kF16, convert_16_bit<f32_from_f16>},
    {DType::kBF16, convert_16_bit<f32_from_bf16>},
    {DType::kQ4_0, expand_blocks<BlockQ4_0, 32>},
    {DType::kQ4_1, expand_blocks<BlockQ4_1, 32>},
    {DType::kQ5_0, expand_blocks<BlockQ5_0, 32>},
    {DType::kQ5_1, expand_blocks<BlockQ5_1, 32>},
    {DType::kQ8_0, expand_blocks<BlockQ8_0, 32>},
    {DType::kQ2_K, expand_blocks<BlockQ2_K, 256>},
    {DType::kQ3_K, expand_blocks<BlockQ3_K, 256>},
    {DType::kQ4_K, expand_blocks<BlockQ4_K, 256>},
    {DType::kQ5_K, expand_blocks<BlockQ5_K, 256>},
    {DType::kQ6_K, expand_blocks<BlockQ6_K, 256>},
    {DType::kIQ4_NL, expand_blocks<BlockIQ4_NL, 32>},
    {DType::kIQ4_XS, expand_blocks<BlockIQ4_XS, 256>},
    {DType::kMXFP4, expand_blocks<BlockMXFP4, 32>},
    {DType::kIQ2_XXS, expand_blocks<BlockIQ2_XXS, 256>},
    {DType::kIQ2_XS, expand_blocks<BlockIQ2_XS, 256>},
    {DType::kIQ2_S, expand_blocks<BlockIQ2_S, 256>},
    {DType::kIQ3_XXS, expand_blocks<BlockIQ3_XXS, 256>},
    {DType::kIQ3_S, expand_blocks<BlockIQ3_S, 256>},
    {DType::kIQ1_S, expand_blocks<BlockIQ1_S, 256>},
    {DType::kIQ1_M, expand_blocks<BlockIQ1_M, 256>},
    {DType::kTQ1_0, expand_blocks<BlockTQ1_0, 256>},
    {DType::kTQ2_0, expand_blocks<BlockTQ2_0, 256>},
};

}  // namespace

void dequantize(DType type, const std::byte* data, std::size_t n, float* out) {
  for (const Row& row : kRows) {
    if (row.type == type) return row.expand(data, n, out);
  }
  check_failed("a type that tensor/ computes with");
}

}  // namespace hearth::tensor

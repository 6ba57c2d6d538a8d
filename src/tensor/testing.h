// For the room's tests and benchmarks: random matrices of every type.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/float_formats.h"
#include "tensor/matmul.h"

namespace hearth::tensor {

inline constexpr DType kQuantTypes[] = {
    DType::kQ4_0,  DType::kQ4_1,    DType::kQ5_0,   DType::kQ5_1,  DType::kQ8_0,    DType::kQ2_K,
    DType::kQ3_K,  DType::kQ4_K,    DType::kQ5_K,   DType::kQ6_K,  DType::kIQ4_NL,  DType::kIQ4_XS,
    DType::kMXFP4, DType::kIQ2_XXS, DType::kIQ2_XS, DType::kIQ2_S, DType::kIQ3_XXS, DType::kIQ3_S,
    DType::kIQ1_S, DType::kIQ1_M,   DType::kTQ1_0,  DType::kTQ2_0};
inline constexpr DType kFloatTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

// Where a block has half-precision scales.
inline std::vector<std::size_t> half_offsets(DType type) {
  switch (type) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    case DType::kTQ1_0:
      return {52};
    case DType::kTQ2_0:
      return {64};
    case DType::kMXFP4:
    case DType::kIQ1_M:
      return {};
    default:
      return {0};
  }
}

// Bytes of a matrix at an address that is odd, so that nothing counts on alignment.
class RandomMatrix {
 public:
  RandomMatrix(DType type, std::uint32_t rows, std::uint32_t cols, unsigned seed = 1)
      : bytes_(rows * row_bytes(type, cols) + 1), view_{type, rows, cols, bytes_.data() + 1} {
    std::mt19937 rng(seed);
    if (dtype_info(type).block_elements == 1) {
      fill_floats(rng);
    } else {
      fill_blocks(rng);
    }
  }
  const MatView& view() const { return view_; }

 private:
  void fill_floats(std::mt19937& rng) {
    std::normal_distribution<float> normal(0.0F, 0.05F);
    const std::size_t bytes = dtype_info(view_.type).block_bytes;
    for (std::size_t i = 1; i + bytes <= bytes_.size(); i += bytes) {
      const float value = normal(rng);
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      if (view_.type == DType::kF16) bits = f16_from_f32(value);
      if (view_.type == DType::kBF16) bits >>= 16;
      std::memcpy(&bytes_[i], &bits, bytes);
    }
  }

  // Random bytes, but for the half-precision scales, which become small numbers.
  void fill_blocks(std::mt19937& rng) {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(rng());
    const std::size_t bytes = dtype_info(view_.type).block_bytes;
    for (std::size_t block = 1; block + bytes <= bytes_.size(); block += bytes) {
      for (const std::size_t offset : half_offsets(view_.type)) {
        const std::uint32_t r = static_cast<std::uint32_t>(rng());
        const F16 half = f16_from_f32(std::ldexp(0.5F + static_cast<float>(r % 1024) / 2048, -8));
        std::memcpy(&bytes_[block + offset], &half, sizeof half);
      }
      if (view_.type == DType::kIQ1_M) {  // The top nibbles of four numbers are one: 0x1C00.
        const std::uint8_t nibbles[] = {0, 0, 0xC0, 0x10};
        for (std::size_t i = 0; i < 4; ++i) {
          std::byte& byte = bytes_[block + 49 + 2 * i];
          byte = (byte & std::byte{15}) | std::byte{nibbles[i]};
        }
      }
      if (view_.type == DType::kMXFP4) bytes_[block] = static_cast<std::byte>(115 + rng() % 8);
    }
  }
  std::vector<std::byte> bytes_;
  MatView view_;
};

inline std::vector<float> random_floats(std::size_t n, unsigned seed = 2, float scale = 1.0F) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(rng);
  return values;
}

}  // namespace hearth::tensor

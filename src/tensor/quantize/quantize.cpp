// The table of types; the blocks themselves are written in plain_blocks.cpp and k_blocks.cpp.
#include "tensor/quantize.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/result.h"
#include "tensor/float_formats.h"
#include "tensor/quantize/block_writers.h"

namespace hearth::tensor {
namespace {

template <class Block, std::size_t kBlockElements>
void write_blocks(const float* values, const float* importance, std::size_t n, std::byte* out) {
  for (std::size_t i = 0; i < n; i += kBlockElements, out += sizeof(Block)) {
    Block block;
    quant::write_block(values + i, importance == nullptr ? nullptr : importance + i, block);
    std::memcpy(out, &block, sizeof block);
  }
}

void copy_f32(const float* values, const float*, std::size_t n, std::byte* out) {
  std::memcpy(out, values, n * sizeof(float));
}

// A weight beyond the range of halves becomes the largest half: infinity would spoil every sum.
F16 f16_saturated(float value) {
  const F16 bits = f16_from_f32(value);
  return (bits & 0x7FFFU) == 0x7C00U ? static_cast<F16>(bits - 1) : bits;
}

// To nearest, ties to even; the largest floats stay finite.
BF16 bf16_rounded(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7FFFU + ((bits >> 16) & 1U);
  const bool overflows = (rounded & 0x7F800000U) == 0x7F800000U;
  return static_cast<BF16>((overflows ? bits : rounded) >> 16);
}

template <std::uint16_t (*kConvert)(float)>
void convert_16_bit(const float* values, const float*, std::size_t n, std::byte* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t bits = kConvert(values[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
}

struct Row {
  DType type;
  void (*write)(const float* values, const float* importance, std::size_t n, std::byte* out);
  bool uses_importance;
};

constexpr Row kRows[] = {
    {DType::kF32, copy_f32, false},
    {DType::kF16, convert_16_bit<f16_saturated>, false},
    {DType::kBF16, convert_16_bit<bf16_rounded>, false},
    {DType::kQ4_0, write_blocks<BlockQ4_0, 32>, true},
    {DType::kQ4_1, write_blocks<BlockQ4_1, 32>, true},
    {DType::kQ5_0, write_blocks<BlockQ5_0, 32>, true},
    {DType::kQ5_1, write_blocks<BlockQ5_1, 32>, true},
    {DType::kQ8_0, write_blocks<BlockQ8_0, 32>, false},
    {DType::kQ2_K, write_blocks<BlockQ2_K, 256>, true},
    {DType::kQ3_K, write_blocks<BlockQ3_K, 256>, true},
    {DType::kQ4_K, write_blocks<BlockQ4_K, 256>, true},
    {DType::kQ5_K, write_blocks<BlockQ5_K, 256>, true},
    {DType::kQ6_K, write_blocks<BlockQ6_K, 256>, true},
    {DType::kIQ4_NL, write_blocks<BlockIQ4_NL, 32>, true},
};

const Row* find_row(DType type) {
  for (const Row& row : kRows) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

}  // namespace

bool can_quantize(DType type) { return find_row(type) != nullptr; }

bool uses_importance(DType type) {
  const Row* const row = find_row(type);
  return row != nullptr && row->uses_importance;
}

void quantize(DType type, const float* values, const float* importance, std::size_t n,
              std::byte* out) {
  const Row* const row = find_row(type);
  HEARTH_CHECK(row != nullptr);
  row->write(values, importance, n, out);
}

}  // namespace hearth::tensor

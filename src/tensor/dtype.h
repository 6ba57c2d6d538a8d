// Element types of stored tensors.
//
// The numbers are those of the GGUF file format, so that a file's tensor table is
// read without a translation table.  A quantised type stores rows in blocks: a row's
// length must be a multiple of `block_elements`, and a block takes `block_bytes`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth::tensor {

enum class DType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
};

struct DTypeInfo {
  DType type;
  std::string_view name;         // As the ecosystem writes it: "Q4_K", "F16".
  std::uint32_t block_elements;  // 1 for plain types.
  std::uint32_t block_bytes;
  bool computable;  // Whether tensor/ has kernels for it as a weight.
};

// nullptr for a number that names no type we know of.
const DTypeInfo* dtype_info(std::uint32_t gguf_number);
const DTypeInfo& dtype_info(DType type);

// Bytes of one row of `n` elements; `n` must be a multiple of the block's elements.
std::size_t row_bytes(DType type, std::size_t n);

}  // namespace hearth::tensor

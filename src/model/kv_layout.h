// How the keys and values of kPageTokens tokens lie in one page.
//
//   page [n_layers][2 (K, V)][n_kv_heads][one head's block] in `dtype`
//   K block [head_dim][kPageTokens], V block [kPageTokens][head_dim]
//
// A head's block is contiguous, so attention reads it as a small matrix.  Keys are transposed:
// the scores of a page's positions then fill the lanes of a vector without a sum across
// lanes (attention_kernel.h).  The forward pass writes and reads pages through this header;
// the engine owns them, and may copy whole pages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace hearth::model {

// Tokens per page.  A power of two: positions split into page and slot by shift and mask.
inline constexpr std::uint32_t kPageTokens = 32;
static_assert((kPageTokens & (kPageTokens - 1)) == 0);

struct KvLayout {
  std::uint32_t n_layers = 0;
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
  tensor::DType dtype = tensor::DType::kF16;

  std::size_t head_bytes() const { return kPageTokens * tensor::row_bytes(dtype, head_dim); }
  std::size_t page_bytes() const { return std::size_t{2} * n_layers * n_kv_heads * head_bytes(); }
  std::size_t key_offset(std::uint32_t layer, std::uint32_t kv_head) const {
    return ((std::size_t{layer} * 2) * n_kv_heads + kv_head) * head_bytes();
  }
  std::size_t value_offset(std::uint32_t layer, std::uint32_t kv_head) const {
    return ((std::size_t{layer} * 2 + 1) * n_kv_heads + kv_head) * head_bytes();
  }

  bool operator==(const KvLayout&) const = default;
};

}  // namespace hearth::model

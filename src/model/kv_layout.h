// How the keys and values of kPageTokens tokens lie in one page.
//
//   page [n_layers][2 (K, V)][n_kv_heads][one head's block],
//   [n_other_layers][2][n_other_kv_heads][one block of such a head],
//   [n_memories][kPageTokens][memory_width]
//
// n_layers counts those with attention; a model may have a second kind of them, with heads of
// another number or size (Gemma 4's sliding ones).  Others may keep a row of halves for each token,
// a memory (forward_convolution.cpp).
//
//   type   K block                                V block
//   F16    [head_dim][kPageTokens] halves         [kPageTokens][head_dim] halves
//   Q8_0   [head_dim][kPageTokens] bytes          [kPageTokens][head_dim] bytes
//   Q4_0   [head_dim / 2][kPageTokens] bytes      [kPageTokens][n_groups][16] bytes
//
// A head's block is contiguous, so attention reads it as a small matrix.  Keys are transposed:
// the scores of a page's positions then fill the lanes of a vector without a sum across
// lanes (attention_kernel.h).
//
// Quantised blocks end with scales [n_groups][kPageTokens], halves: one for each token and group of
// kKvGroup dimensions (the last group may be half as wide).  A number is (code - 128) * scale in
// Q8_0 and (code - 8) * scale in Q4_0, exact in float.  No two tokens share a byte, since several
// threads write tokens of one page: in Q4_0 a byte of keys holds dimensions 2i (low) and 2i + 1, a
// byte of values dimensions i (low) and i + 16 of a group.  So a load gives two vectors.
//
// The forward pass writes pages through kv_page.h; the engine owns them, and may copy whole pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth::model {

// Tokens per page.  A power of two: positions split into page and slot by shift and mask.
inline constexpr std::uint32_t kPageTokens = 32;
static_assert((kPageTokens & (kPageTokens - 1)) == 0);

// Dimensions that share a scale.
inline constexpr std::uint32_t kKvGroup = 32;

// How keys and values are stored: 2, 1.06 or 0.56 bytes each.
enum class KvType : std::uint8_t { kF16, kQ8_0, kQ4_0 };

constexpr std::string_view kv_type_name(KvType type) {
  return type == KvType::kF16 ? "f16" : type == KvType::kQ8_0 ? "q8_0" : "q4_0";
}
constexpr std::optional<KvType> kv_type_from_name(std::string_view name) {
  for (const KvType type : {KvType::kF16, KvType::kQ8_0, KvType::kQ4_0}) {
    if (kv_type_name(type) == name) return type;
  }
  return std::nullopt;
}

struct KvLayout {
  std::uint32_t n_layers = 0;
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
  KvType type = KvType::kF16;
  std::uint32_t n_memories = 0;
  std::uint32_t memory_width = 0;
  // What a session has beside its pages, of one size however long it is (forward_delta_net.cpp):
  // such a session can't share pages with others, nor take tokens back.
  std::size_t state_bytes = 0;
  // Layers n_layers and on.
  std::uint32_t n_other_layers = 0;
  std::uint32_t n_other_kv_heads = 0;
  std::uint32_t other_head_dim = 0;

  // The second kind alone, and the kind that a layer is of: what heads of a layer look like.
  KvLayout other() const {
    return {.n_layers = n_other_layers,
            .n_kv_heads = n_other_kv_heads,
            .head_dim = other_head_dim,
            .type = type};
  }
  KvLayout of_layer(std::uint32_t layer) const { return layer < n_layers ? *this : other(); }

  std::uint32_t n_groups() const { return (head_dim + kKvGroup - 1) / kKvGroup; }
  // Of a block's numbers; its scales follow.
  std::size_t code_bytes() const {
    if (type == KvType::kF16) return std::size_t{kPageTokens} * head_dim * 2;
    if (type == KvType::kQ8_0) return std::size_t{kPageTokens} * head_dim;
    return std::size_t{kPageTokens} * n_groups() * (kKvGroup / 2);
  }
  std::size_t scale_bytes() const {
    return type == KvType::kF16 ? 0 : std::size_t{kPageTokens} * n_groups() * 2;
  }
  std::size_t head_bytes() const { return code_bytes() + scale_bytes(); }
  std::size_t page_bytes() const { return memory_offset(n_memories, 0); }
  std::size_t token_bytes() const { return page_bytes() / kPageTokens; }
  std::size_t key_offset(std::uint32_t layer, std::uint32_t kv_head) const {
    return block_offset(layer, 0, kv_head);
  }
  std::size_t value_offset(std::uint32_t layer, std::uint32_t kv_head) const {
    return block_offset(layer, 1, kv_head);
  }
  std::size_t memory_offset(std::uint32_t memory, std::uint32_t slot) const {
    const std::size_t row = std::size_t{memory} * kPageTokens + slot;
    return block_offset(n_layers + n_other_layers, 0, 0) + row * memory_width * 2;
  }

  bool operator==(const KvLayout&) const = default;

 private:
  // Of keys (0) or values (1).
  std::size_t block_offset(std::uint32_t layer, std::uint32_t which, std::uint32_t kv_head) const {
    if (layer < n_layers) {
      return ((std::size_t{layer} * 2 + which) * n_kv_heads + kv_head) * head_bytes();
    }
    const std::size_t first = std::size_t{2} * n_layers * n_kv_heads * head_bytes();
    if (n_other_layers == 0) return first;
    const std::size_t block =
        (std::size_t{layer - n_layers} * 2 + which) * n_other_kv_heads + kv_head;
    return first + block * other().head_bytes();
  }
};

}  // namespace hearth::model

// Causal attention of query rows over the pages of one session, one key-value head at a
// time, by online softmax (Milakov and Gimelshein 2018, arxiv.org/abs/1805.02867): pages are
// visited in order, and a row keeps the maximum, the sum and the weighted values of what it
// has seen, rescaled whenever the maximum grows.  No row of scores is ever stored whole, and a
// row's result depends on its own page sequence alone, not on the rows beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/kv_layout.h"

namespace hearth::model {

// Most rows of one call: enough that unpacking a page is a small part of the work on it.
inline constexpr std::uint32_t kAttentionRowsMax = 64;

inline constexpr float kNoSink = -__builtin_inff();

struct AttentionRow {
  const float* query = nullptr;  // [head_dim]
  float* out = nullptr;          // [head_dim], overwritten.
  // Positions [first_visible, n_visible) are seen; at least one.
  std::uint32_t n_visible = 0;
  std::uint32_t first_visible = 0;  // Above 0 behind a sliding window.
  // Logit of an attention sink: it takes its share of the softmax and gives no value (gpt-oss).
  float sink = kNoSink;
};

// Where one head's keys and values lie.
struct AttentionHead {
  std::span<std::byte* const> pages;  // As in Segment: page i holds positions from i * kPageTokens.
  std::size_t key_offset = 0;         // Bytes into each page (kv_layout.h).
  std::size_t value_offset = 0;
  KvLayout layout;
};

struct AttentionScale {
  float factor = 1.0F;   // Of query · key.
  float softcap = 0.0F;  // Above 0: scores become softcap * tanh(score / softcap) (Gemma 2).
};

// out = softmax(scaled query · keys) · values for each row; at most kAttentionRowsMax rows, their
// n_visible and first_visible not descending.
//
// Threading: pure; any thread.  Takes about 140 KiB of stack.
void attend(std::span<const AttentionRow> rows, const AttentionHead& head,
            const AttentionScale& scale);

}  // namespace hearth::model

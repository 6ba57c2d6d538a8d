#include "model/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/result.h"
#include "model/attention_kernel.h"
#include "model/config.h"

namespace hearth::model {

AttendPage attend_page_for(tensor::Isa isa) {
#if defined(__x86_64__)
  if (isa == tensor::Isa::kAvx512) return attend_page_avx512;
  if (isa == tensor::Isa::kAvx2) return attend_page_avx2;
#endif
  (void)isa;
  return attend_page_scalar;
}

namespace {

// Divides a row by its sum, in which its sink has a share.
void finish_row(const AttentionRow& row, const AttentionState& state, std::uint32_t head_dim) {
  float factor = 1.0F / state.sum;
  if (row.sink != kNoSink) {
    const float max = std::max(state.max, row.sink);
    const float kept = std::exp(state.max - max);
    factor = kept / (state.sum * kept + std::exp(row.sink - max));
  }
  for (std::uint32_t d = 0; d < head_dim; ++d) row.out[d] *= factor;
}

}  // namespace

void attend(std::span<const AttentionRow> rows, const AttentionHead& head,
            const AttentionScale& scale) {
  attend_with(attend_page_for(tensor::selected_isa()), rows, head, scale);
}

void attend_with(AttendPage attend_page, std::span<const AttentionRow> rows,
                 const AttentionHead& head, const AttentionScale& scale) {
  HEARTH_CHECK(!rows.empty() && rows.size() <= kAttentionRowsMax);
  const std::uint32_t head_dim = head.layout.head_dim;
  const std::size_t code_bytes = head.layout.code_bytes();
  HEARTH_CHECK(head_dim <= kHeadDimMax && head_dim % kHeadDimMultiple == 0);
  AttentionState states[kAttentionRowsMax];
  alignas(64) float tile[2 * kPageTokens * kHeadDimMax];
  alignas(64) float wide_scales[kHeadDimMax / kKvGroup * kPageTokens];
  for (std::size_t r = 0; r < rows.size(); ++r) {
    states[r] = {-std::numeric_limits<float>::infinity(), 0.0F};
    std::fill_n(rows[r].out, head_dim, 0.0F);
  }

  std::size_t first = 0;  // Rows before it have seen all that they may.
  std::size_t end = 0;    // Rows from it on see later pages only.
  const std::uint32_t first_page = rows.front().first_visible / kPageTokens;
  for (std::uint32_t start = first_page * kPageTokens; start < rows.back().n_visible;
       start += kPageTokens) {
    while (rows[first].n_visible <= start) ++first;
    while (end < rows.size() && rows[end].first_visible < start + kPageTokens) ++end;
    if (first == end) continue;
    const std::byte* const page = head.pages[start / kPageTokens];
    const std::byte* const keys = page + head.key_offset;
    const std::byte* const values = page + head.value_offset;
    attend_page({.rows = rows.data() + first,
                 .states = states + first,
                 .n_rows = static_cast<std::uint32_t>(end - first),
                 .start = start,
                 .head_dim = head_dim,
                 .scale = scale,
                 .type = head.layout.type,
                 .keys = keys,
                 .values = values,
                 .key_scales = reinterpret_cast<const tensor::F16*>(keys + code_bytes),
                 .value_scales = reinterpret_cast<const tensor::F16*>(values + code_bytes),
                 .tile = tile,
                 .wide_scales = wide_scales});
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    finish_row(rows[r], states[r], head_dim);
  }
}

}  // namespace hearth::model

#include "model/attention.h"

#include <algorithm>
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

void attend(std::span<const AttentionRow> rows, const AttentionHead& head, float scale) {
  attend_with(attend_page_for(tensor::selected_isa()), rows, head, scale);
}

void attend_with(AttendPage attend_page, std::span<const AttentionRow> rows,
                 const AttentionHead& head, float scale) {
  HEARTH_CHECK(!rows.empty() && rows.size() <= kAttentionRowsMax);
  HEARTH_CHECK(head.head_dim <= kHeadDimMax && head.head_dim % kHeadDimMultiple == 0);
  AttentionState states[kAttentionRowsMax];
  alignas(64) float tile[2 * kPageTokens * kHeadDimMax];
  for (std::size_t r = 0; r < rows.size(); ++r) {
    states[r] = {-std::numeric_limits<float>::infinity(), 0.0F};
    std::fill_n(rows[r].out, head.head_dim, 0.0F);
  }

  std::size_t first = 0;  // Rows before it have seen all that they may.
  for (std::uint32_t start = 0; start < rows.back().n_visible; start += kPageTokens) {
    while (rows[first].n_visible <= start) ++first;
    const std::byte* const page = head.pages[start / kPageTokens];
    attend_page({.rows = rows.data() + first,
                 .states = states + first,
                 .n_rows = static_cast<std::uint32_t>(rows.size() - first),
                 .start = start,
                 .head_dim = head.head_dim,
                 .scale = scale,
                 .keys = reinterpret_cast<const tensor::F16*>(page + head.key_offset),
                 .values = reinterpret_cast<const tensor::F16*>(page + head.value_offset),
                 .tile = tile});
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const float inverse = 1.0F / states[r].sum;
    for (std::uint32_t d = 0; d < head.head_dim; ++d) rows[r].out[d] *= inverse;
  }
}

}  // namespace hearth::model

// Adapters in the forward pass: y += s B (A x) for the rows that have one.
//
// Rows are grouped by adapter, so that a group's A and B are read from memory once; a task takes a
// group and one of the outputs that share its input.  Each row is computed for itself by kernels
// whose order of sums depends on the matrix alone, so its result does not depend on the group.
//
// Few tasks (one session decodes) are split, which takes a second fork and join: first parts of
// A x, then parts of the outputs.  The bits are the same.
#include <algorithm>

#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kPanelsAtLeast = 8;  // Of B in one part.

struct Range {
  std::uint32_t first = 0, n = 0;
};

// Part `part` of `n_parts` of n things, in multiples of `unit`.
Range part_of(std::uint32_t n, std::uint32_t part, std::uint32_t n_parts, std::uint32_t unit) {
  const std::uint32_t each = ((n + n_parts - 1) / n_parts + unit - 1) / unit * unit;
  const std::uint32_t first = std::min(part * each, n);
  return {first, std::min(each, n - first)};
}

}  // namespace

void ForwardPass::plan_adapters(bool logits_only) {
  s_.adapted_rows.clear();
  s_.adapted_groups.clear();
  s_.adapted_round_ends.clear();
  for (std::uint32_t round = 0; round < kAdaptersPerSegment; ++round) {
    const std::size_t first = s_.adapted_rows.size();
    add_adapted_rows(round, logits_only);
    if (s_.adapted_rows.size() == first) continue;
    group_adapted_rows(first);
    s_.adapted_round_ends.push_back(static_cast<std::uint32_t>(s_.adapted_groups.size()));
  }
}

// The rows that each segment's adapter number `round` changes.
void ForwardPass::add_adapted_rows(std::uint32_t round, bool logits_only) {
  std::uint32_t row = 0;
  for (const Segment& segment : batch_) {
    HEARTH_CHECK(segment.adapters.size() <= kAdaptersPerSegment);
    const auto n_tokens = static_cast<std::uint32_t>(segment.tokens.size());
    const std::uint32_t n = logits_only ? segment.n_logits : n_tokens;
    const std::uint32_t position = segment.position + n_tokens - n;
    if (round < segment.adapters.size()) {
      const AdapterUse& use = segment.adapters[round];
      HEARTH_DCHECK(use.adapter->fits(model_));
      for (std::uint32_t i = 0; i < n; ++i) {
        if (position + i < use.first_position) continue;
        s_.adapted_rows.push_back({use.adapter, row + i, use.weight});
      }
    }
    row += n;
  }
}

// Cuts adapted_rows from `first` on into groups.
void ForwardPass::group_adapted_rows(std::size_t first) {
  std::vector<AdaptedRow>& rows = s_.adapted_rows;
  std::sort(rows.begin() + static_cast<std::ptrdiff_t>(first), rows.end(),
            [](const AdaptedRow& a, const AdaptedRow& b) {
              return a.adapter != b.adapter ? std::less<>()(a.adapter, b.adapter) : a.row < b.row;
            });
  for (std::size_t i = first; i < rows.size(); ++i) {
    const bool is_new = i == first || s_.adapted_groups.back().adapter != rows[i].adapter ||
                        s_.adapted_groups.back().n_rows == kAdaptedGroupRows;
    if (is_new) s_.adapted_groups.push_back({rows[i].adapter, static_cast<std::uint32_t>(i), 0});
    ++s_.adapted_groups.back().n_rows;
  }
}

// inner [group.n_rows, rank]: the outputs of panels [first, first + n) of weight * scale * A x.
void ForwardPass::reduce(const AdaptedGroup& group, const LowRank& pair, const float* x,
                         std::uint32_t first, std::uint32_t n, float* inner) const {
  tensor::StreamRow rows[kAdaptedGroupRows];
  for (std::uint32_t i = 0; i < group.n_rows; ++i) {
    const std::size_t row = s_.adapted_rows[group.first + i].row;
    rows[i] = {x + row * pair.a.cols, inner + std::size_t{i} * pair.rank};
  }
  multiply_stream(pair.a, first, n, std::span(rows, group.n_rows), /*adds=*/false);
  const std::uint32_t begin = first * tensor::kStreamPanelRows;
  const std::uint32_t end = std::min(pair.rank, (first + n) * tensor::kStreamPanelRows);
  for (std::uint32_t i = 0; i < group.n_rows; ++i) {
    const float scale = pair.scale * s_.adapted_rows[group.first + i].weight;
    for (std::uint32_t k = begin; k < end; ++k) rows[i].y[k] *= scale;
  }
}

// Adds panels [first, first + n) of B times `inner` to the group's rows of an output.
void ForwardPass::expand(const AdaptedGroup& group, const LowRank& pair, const float* inner,
                         std::uint32_t first, std::uint32_t n, const Adapted& out) const {
  tensor::StreamRow rows[kAdaptedGroupRows];
  std::uint32_t n_rows = 0;
  for (std::uint32_t i = 0; i < group.n_rows; ++i) {
    const std::uint32_t row = s_.adapted_rows[group.first + i].row;
    if (row < out.first || row - out.first >= out.n_rows) continue;
    rows[n_rows++] = {inner + std::size_t{i} * pair.rank,
                      out.y + std::size_t{row - out.first} * out.width};
  }
  multiply_stream(pair.b, first, n, std::span(rows, n_rows), /*adds=*/true);
}

void ForwardPass::adapt(const float* x, std::uint32_t width, std::initializer_list<Adapted> outs) {
  const std::span<const AdaptedGroup> groups(s_.adapted_groups);
  std::uint32_t begin = 0;
  for (const std::uint32_t end : s_.adapted_round_ends) {
    const auto n_tasks = static_cast<std::uint32_t>((end - begin) * outs.size());
    const bool is_split = n_tasks <= kAdaptedSplitTasks && n_tasks < 2 * pool_.n_threads();
    const auto step = is_split && pool_.n_threads() > 1 ? &ForwardPass::adapt_split
                                                        : &ForwardPass::adapt_round;
    (this->*step)(groups.subspan(begin, end - begin), x, width, std::span(outs.begin(), outs.size()));
    begin = end;
  }
}

void ForwardPass::adapt_round(std::span<const AdaptedGroup> groups, const float* x,
                              std::uint32_t width, std::span<const Adapted> outs) {
  const auto n_outs = static_cast<std::uint32_t>(outs.size());
  pool_.run(static_cast<std::uint32_t>(groups.size()) * n_outs, [&](std::uint32_t task) {
    const AdaptedGroup& group = groups[task / n_outs];
    const Adapted& out = outs[task % n_outs];
    const LowRank& pair = group.adapter->at(out.slot, layer_);
    if (pair.rank == 0) return;
    HEARTH_CHECK(pair.a.cols == width && pair.b.rows == out.width);
    float inner[kAdaptedGroupRows * kAdapterRankMax];
    reduce(group, pair, x, 0, pair.a.n_panels(), inner);
    expand(group, pair, inner, 0, pair.b.n_panels(), out);
  });
}

void ForwardPass::adapt_split(std::span<const AdaptedGroup> groups, const float* x,
                              std::uint32_t width, std::span<const Adapted> outs) {
  const auto n_outs = static_cast<std::uint32_t>(outs.size());
  const auto n_tasks = static_cast<std::uint32_t>(groups.size()) * n_outs;
  const std::uint32_t n_parts = (2 * pool_.n_threads() - 1) / n_tasks + 1;
  const auto each_part = [&](auto&& part_of_task) {
    pool_.run(n_tasks * n_parts, [&](std::uint32_t index) {
      const std::uint32_t task = index / n_parts;
      const AdaptedGroup& group = groups[task / n_outs];
      const Adapted& out = outs[task % n_outs];
      const LowRank& pair = group.adapter->at(out.slot, layer_);
      if (pair.rank == 0) return;
      HEARTH_CHECK(pair.a.cols == width && pair.b.rows == out.width);
      float* const inner =
          s_.inner.data() + std::size_t{task} * kAdaptedGroupRows * kAdapterRankMax;
      part_of_task(index % n_parts, group, pair, out, inner);
    });
  };
  each_part([&](std::uint32_t part, const AdaptedGroup& group, const LowRank& pair, const Adapted&,
                float* inner) {
    const Range panels = part_of(pair.a.n_panels(), part, n_parts, 1);
    if (panels.n > 0) reduce(group, pair, x, panels.first, panels.n, inner);
  });
  each_part([&](std::uint32_t part, const AdaptedGroup& group, const LowRank& pair,
                const Adapted& out, const float* inner) {
    const Range panels = part_of(pair.b.n_panels(), part, n_parts, kPanelsAtLeast);
    if (panels.n > 0) expand(group, pair, inner, panels.first, panels.n, out);
  });
}

// x [d_model] += the update of token i's embedding.
void ForwardPass::adapt_embedding(const Segment& segment, std::uint32_t i, float* x) const {
  for (const AdapterUse& use : segment.adapters) {
    const LowRank& pair = use.adapter->at(AdapterSlot::kEmbedding, 0);
    if (pair.rank == 0 || segment.position + i < use.first_position) continue;
    float h[kAdapterRankMax];
    const auto token = static_cast<std::size_t>(segment.tokens[i]);
    tensor::f32_from_f16(pair.picked + token * pair.rank, pair.rank, h);
    for (std::uint32_t k = 0; k < pair.rank; ++k) h[k] *= pair.scale * use.weight;
    const tensor::StreamRow row{h, x};
    multiply_stream(pair.b, 0, pair.b.n_panels(), {&row, 1}, /*adds=*/true);
  }
}

}  // namespace hearth::model

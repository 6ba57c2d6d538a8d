// How a product is cut into tasks, and what a task does.
//
// Quantised weights go through panels (kernels/panel.h): a task takes some panels of 16 rows; for
// each pair, chunk by chunk of columns, it unpacks and multiplies.  With few tokens the chunk is
// one block of 256 columns that lives in the first-level cache just long enough to be used, and the
// memory is what takes time: the next panel is prefetched meanwhile, since the hardware's
// prefetchers do not follow 16 interleaved short streams.  With many tokens the chunk is as large
// as still leaves the first-level cache room for the activations, and the arithmetic takes the
// time.
#include "tensor/matmul.h"

#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "tensor/activations.h"
#include "tensor/dequantize.h"
#include "tensor/kernels/kernels.h"
#include "tensor/pack.h"

namespace hearth::tensor {
namespace {

constexpr std::uint32_t kTileTokensMax = 512;  // Tokens whose sums a task keeps at a time.
constexpr std::uint32_t kChunkColsMany = 512;  // Columns unpacked at a time: many tokens,
constexpr std::uint32_t kChunkColsFew = 256;   // and few.
constexpr std::uint32_t kFewTokens = 8;        // At most: memory takes the time.
constexpr std::uint32_t kPanelsMax = 2;
constexpr std::uint32_t kTasksPerThreadMax = 16;
constexpr std::size_t kTaskBytesMin = 32 * 1024;  // Of weights, with few tokens.
constexpr std::uint32_t kTaskRowsMany = 32;       // With many.
constexpr std::uint32_t kSubsMax = 2;
constexpr std::uint32_t kChunkSubs = kChunkColsMany / kGroupCols * kSubsMax;

// One thread's workspace, 130 KB: the unpacked panels and the sums of one pair of panels.
struct alignas(64) PanelScratch {
  std::uint8_t quads[kPanelsMax][kChunkColsMany * kPanelRows];
  float scales[kPanelsMax][kChunkSubs * kPanelRows];
  float mins[kPanelsMax][kChunkSubs * kPanelRows];
  float y[kTileTokensMax * kPanelsMax * kPanelRows];
};

PanelScratch& panel_scratch() {
  static thread_local const auto scratch = std::make_unique_for_overwrite<PanelScratch>();
  return *scratch;
}

// A product of quantised weights and everything that its tasks share.
struct QuantJob {
  const Kernels& k;
  const MatView& w;
  const QuantTraits& traits;
  const Activations::State& x;
  float* y;
  std::size_t y_stride;
  std::size_t row_stride = row_bytes(w.type, w.cols);
  PanelFunctions read = k.panel_functions(w.type, w.layout);
  PanelProductFn product = k.panel_product(w.type);
  // From a block of a panel's rows to the next.
  std::size_t block_bytes =
      dtype_info(w.type).block_bytes * (w.layout == WeightLayout::kPacked ? kPanelRows : 1);

  std::uint32_t n_panels() const { return (w.rows + kPanelRows - 1) / kPanelRows; }
  // The last panel of a matrix whose rows are no multiple of 16 overlaps the one before.
  std::uint32_t panel_row(std::uint32_t panel) const {
    return std::min(panel * kPanelRows, w.rows - kPanelRows);
  }
};

// Copies the sums of panel `m` of the tile out.  Rows that an overlapping panel shares with the one
// before it are left to that one: another thread may be writing them.
void store_rows(const QuantJob& job, const float* tile, std::uint32_t panel, std::uint32_t n_panels,
                std::uint32_t m, std::uint32_t token_begin, std::uint32_t n_tokens) {
  const std::uint32_t row = job.panel_row(panel + m);
  const std::uint32_t skip = (panel + m) * kPanelRows - row;
  for (std::uint32_t t = 0; t < n_tokens; ++t) {
    const float* from = tile + (std::size_t{t} * n_panels + m) * kPanelRows;
    std::memcpy(job.y + (token_begin + t) * job.y_stride + row + skip, from + skip,
                (kPanelRows - skip) * sizeof(float));
  }
}

// One panel, all columns, one token.
void dot_panel(const QuantJob& job, std::uint32_t panel, std::uint32_t token) {
  const Activations::State& x = job.x;
  const std::uint32_t subs = job.traits.subs;
  const std::byte* rows = job.w.data + job.panel_row(panel) * job.row_stride;
  const std::size_t first = token * x.n_groups;
  alignas(64) float y[kPanelRows] = {};
  job.read.dot({.block = rows,
                .row_stride = job.row_stride,
                .n_blocks = job.w.cols / job.traits.block_cols,
                .ahead = reinterpret_cast<std::uintptr_t>(rows) + kPanelRows * job.row_stride,
                .q = x.q.data() + std::size_t{token} * x.cols,
                .scale = x.scale.data() + first,
                .start = x.start(job.traits).values.data() + first * subs,
                .scaled_sum = job.traits.has_min
                                  ? x.scaled_sums[subs - 1].values.data() + first * subs
                                  : nullptr,
                .y = y});
  store_rows(job, y, panel, 1, 0, token, 1);
}

// Some panels side by side, all columns, up to kTileTokensMax tokens.
void multiply_panels(const QuantJob& job, std::uint32_t panel, std::uint32_t n_panels,
                     std::uint32_t token_begin, std::uint32_t n_tokens) {
  if (n_tokens == 1 && job.read.dot != nullptr) {
    for (std::uint32_t m = 0; m < n_panels; ++m) dot_panel(job, panel + m, token_begin);
    return;
  }
  PanelScratch& scratch = panel_scratch();
  const Activations::State& x = job.x;
  const std::uint32_t subs = job.traits.subs;
  const bool few = n_tokens <= kFewTokens;
  const std::uint32_t chunk_cols = few ? kChunkColsFew : kChunkColsMany;
  const auto& start = x.start(job.traits);
  const float* scaled_sum = x.scaled_sums[subs - 1].values.data();
  const std::size_t panel_bytes = kPanelRows * job.row_stride;

  const Panel panels[kPanelsMax] = {{scratch.quads[0], scratch.scales[0], scratch.mins[0]},
                                    {scratch.quads[1], scratch.scales[1], scratch.mins[1]}};
  std::memset(scratch.y, 0, std::size_t{n_tokens} * n_panels * kPanelRows * sizeof(float));
  for (std::uint32_t col = 0; col < job.w.cols; col += chunk_cols) {
    const std::uint32_t cols = std::min(chunk_cols, job.w.cols - col);
    for (std::uint32_t m = 0; m < n_panels; ++m) {
      const std::size_t n_before = col / job.traits.block_cols;
      const std::byte* rows = job.w.data + job.panel_row(panel + m) * job.row_stride;
      // In the next panels' turn, what lies as far into their bytes as this chunk into the rows.
      const std::uintptr_t ahead = reinterpret_cast<std::uintptr_t>(rows) + n_panels * panel_bytes +
                                   row_bytes(job.w.type, col) * kPanelRows;
      job.read.unpack(rows + n_before * job.block_bytes, job.row_stride,
                      cols / job.traits.block_cols, panels[m], ahead);
    }
    const std::size_t first = token_begin * x.n_groups + col / kGroupCols;
    job.product({.panels = panels,
                 .n_panels = n_panels,
                 .n_groups = cols / kGroupCols,
                 .n_tokens = n_tokens,
                 .q = x.q.data() + std::size_t{token_begin} * x.cols + col,
                 .q_stride = x.cols,
                 .scale = x.scale.data() + first,
                 .group_stride = x.n_groups,
                 .start = start.values.data() + first * subs,
                 .scaled_sum = job.traits.has_min ? scaled_sum + first * subs : nullptr,
                 .y = scratch.y});
  }
  for (std::uint32_t m = 0; m < n_panels; ++m) {
    store_rows(job, scratch.y, panel, n_panels, m, token_begin, n_tokens);
  }
}

void multiply_quantized(const QuantJob& job, ThreadPool& pool) {
  const std::uint32_t n_tokens = job.x.n_tokens;
  const std::uint32_t n_panels = job.n_panels();
  const std::uint32_t side_by_side = std::min(n_tokens < 3 ? 1U : 2U, job.k.tile_panels);
  std::uint32_t task_panels = kTaskRowsMany / kPanelRows;
  if (n_tokens <= kFewTokens) {
    const std::size_t panel_bytes = kPanelRows * job.row_stride;
    const auto at_least = static_cast<std::uint32_t>((kTaskBytesMin - 1) / panel_bytes + 1);
    task_panels = std::max(at_least, n_panels / (pool.n_threads() * kTasksPerThreadMax));
    task_panels = (task_panels + 1) / 2 * 2;
  }
  pool.run((n_panels - 1) / task_panels + 1, [&](std::uint32_t task) {
    const std::uint32_t end = std::min(n_panels, (task + 1) * task_panels);
    for (std::uint32_t token = 0; token < n_tokens; token += kTileTokensMax) {
      const std::uint32_t tokens = std::min(kTileTokensMax, n_tokens - token);
      for (std::uint32_t panel = task * task_panels; panel < end; panel += side_by_side) {
        multiply_panels(job, panel, std::min(side_by_side, end - panel), token, tokens);
      }
    }
  });
}

// Matrices of fewer rows than a panel: copied to one with zero rows below.
void multiply_small(const MatView& w, const Activations::State& x, float* y, std::size_t y_stride) {
  const std::size_t stride = row_bytes(w.type, w.cols);
  AlignedBuffer<std::byte> padded;
  AlignedBuffer<float> sums;
  std::memset(padded.ensure(kPanelRows * stride), 0, kPanelRows * stride);
  std::memcpy(padded.data(), w.data, w.rows * stride);
  const MatView panel{w.type, kPanelRows, w.cols, padded.data()};
  const QuantJob job{
      kernels(), panel, *quant_traits(w.type), x, sums.ensure(std::size_t{x.n_tokens} * kPanelRows),
      kPanelRows};
  for (std::uint32_t token = 0; token < x.n_tokens; token += kTileTokensMax) {
    multiply_panels(job, 0, 1, token, std::min(kTileTokensMax, x.n_tokens - token));
  }
  for (std::uint32_t token = 0; token < x.n_tokens; ++token) {
    std::memcpy(y + token * y_stride, sums.data() + std::size_t{token} * kPanelRows,
                w.rows * sizeof(float));
  }
}

void multiply_floats(const MatView& w, const Activations::State& x, float* y, std::size_t y_stride,
                     ThreadPool& pool) {
  const FloatProductFn product = kernels().float_product(w.type);
  const std::size_t row_stride = row_bytes(w.type, w.cols);
  const bool few = x.n_tokens <= kDotFewTokens;
  std::uint32_t task_rows = kDotTaskRows;
  if (few) {
    const auto at_least = static_cast<std::uint32_t>(kTaskBytesMin / (row_stride + 1) + 1);
    task_rows = std::max(at_least, w.rows / (pool.n_threads() * kTasksPerThreadMax));
    task_rows = (task_rows + kDotRowsMax - 1) / kDotRowsMax * kDotRowsMax;
  }
  pool.run((w.rows - 1) / task_rows + 1, [&](std::uint32_t task) {
    static thread_local AlignedBuffer<float> scratch;
    const std::uint32_t row = task * task_rows;
    product({.w = w.data + row * row_stride,
             .row_stride = row_stride,
             .n_rows = std::min(task_rows, w.rows - row),
             .cols = w.cols,
             .x = x.x.data(),
             .x_stride = x.x_stride,
             .n_tokens = x.n_tokens,
             .y = y + row,
             .y_stride = y_stride,
             .scratch = few ? nullptr : scratch.ensure(kDotScratchFloats)});
  });
}

}  // namespace

void matmul(const MatView& w, const Activations& x, float* y, std::size_t y_stride,
            ThreadPool& pool) {
  const Activations::State& state = x.state();
  HEARTH_CHECK(w.cols == state.cols);
  if (w.rows == 0 || state.n_tokens == 0) return;
  const QuantTraits* traits = quant_traits(w.type);
  if (traits == nullptr) {
    HEARTH_CHECK(state.has_floats);
    return multiply_floats(w, state, y, y_stride, pool);
  }
  HEARTH_CHECK(state.has_int8 && state.start(*traits).wanted);
  HEARTH_CHECK(row_bytes(w.type, w.cols) < kRowBytesMax);
  if (w.rows < kPanelRows) return multiply_small(w, state, y, y_stride);
  multiply_quantized({kernels(), w, *traits, state, y, y_stride}, pool);
}

namespace {

// Row `row` of a packed matrix, block by block.
void dequantize_packed_row(const MatView& w, std::uint32_t row, float* out) {
  constexpr std::size_t kBlockBytesMax = 256;
  const DTypeInfo& info = dtype_info(w.type);
  HEARTH_CHECK(info.block_bytes <= kBlockBytesMax);
  std::byte block[kBlockBytesMax];
  const std::size_t panel = row / kPanelRows;
  const std::byte* packed = w.data + panel * kPanelRows * row_bytes(w.type, w.cols);
  for (std::uint32_t col = 0; col < w.cols; col += info.block_elements) {
    unpack_block(w.type, packed, row % kPanelRows, block);
    dequantize(w.type, block, info.block_elements, out + col);
    packed += info.block_bytes * kPanelRows;
  }
}

}  // namespace

void dequantize_row(const MatView& w, std::uint32_t row, float* out) {
  HEARTH_CHECK(row < w.rows);
  if (w.layout == WeightLayout::kPacked) return dequantize_packed_row(w, row, out);
  dequantize(w.type, w.data + row * row_bytes(w.type, w.cols), w.cols, out);
}

}  // namespace hearth::tensor

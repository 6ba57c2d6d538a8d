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
  QuantJob(const Product& whole, const QuantTraits& its_traits, const Activations::State& state)
      : p(whole), w(whole.w), traits(its_traits), x(state) {}

  const Product& p;
  const MatView& w;
  const QuantTraits& traits;
  const Activations::State& x;
  const Kernels& k = kernels();
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

// Copies the sums of panel `m` of the tile out, with the bias.  Rows that an overlapping panel
// shares with the one before it are left to that one: another thread may be writing them.  Tokens
// are counted from the product's first.
void store_rows(const QuantJob& job, const float* tile, std::uint32_t panel, std::uint32_t n_panels,
                std::uint32_t m, std::uint32_t token_begin, std::uint32_t n_tokens) {
  const std::uint32_t row = job.panel_row(panel + m);
  const std::uint32_t skip = (panel + m) * kPanelRows - row;
  for (std::uint32_t t = 0; t < n_tokens; ++t) {
    const float* from = tile + (std::size_t{t} * n_panels + m) * kPanelRows;
    float* const y = job.p.y + (token_begin + t) * job.p.y_stride + row;
    if (job.p.bias == nullptr) {
      std::memcpy(y + skip, from + skip, (kPanelRows - skip) * sizeof(float));
    } else {
      for (std::uint32_t i = skip; i < kPanelRows; ++i) y[i] = from[i] + job.p.bias[row + i];
    }
  }
}

// One panel, all columns, one token.  Meanwhile fetches from the address `ahead` on.
void dot_panel(const QuantJob& job, std::uint32_t panel, std::uint32_t token,
               std::uintptr_t ahead) {
  const Activations::State& x = job.x;
  const std::size_t row = job.p.first_token + token;
  const std::uint32_t subs = job.traits.subs;
  const std::byte* rows = job.w.data + job.panel_row(panel) * job.row_stride;
  const std::size_t first = row * x.n_groups;
  alignas(64) float y[kPanelRows] = {};
  job.read.dot({.block = rows,
                .row_stride = job.row_stride,
                .n_blocks = job.w.cols / job.traits.block_cols,
                .ahead = ahead,
                .q = x.q.data() + row * x.cols,
                .scale = x.scale.data() + first,
                .start = x.start(job.traits).values.data() + first * subs,
                .scaled_sum = job.traits.has_min
                                  ? x.scaled_sums[subs - 1].values.data() + first * subs
                                  : nullptr,
                .y = y});
  store_rows(job, y, panel, 1, 0, token, 1);
}

// Some panels side by side, all columns, up to kTileTokensMax tokens.  Meanwhile fetches from the
// address `ahead` on, where it is not 0, else the panels that follow.
void multiply_panels(const QuantJob& job, std::uint32_t panel, std::uint32_t n_panels,
                     std::uint32_t token_begin, std::uint32_t n_tokens, std::uintptr_t ahead) {
  const std::size_t panel_bytes = kPanelRows * job.row_stride;
  if (ahead == 0) {
    ahead = reinterpret_cast<std::uintptr_t>(job.w.data) +
            job.panel_row(panel) * job.row_stride + n_panels * panel_bytes;
  }
  if (n_tokens == 1 && job.read.dot != nullptr && n_panels == 1) {
    return dot_panel(job, panel, token_begin, ahead);
  }
  PanelScratch& scratch = panel_scratch();
  const Activations::State& x = job.x;
  const std::uint32_t subs = job.traits.subs;
  const bool few = n_tokens <= kFewTokens;
  const std::uint32_t chunk_cols = few ? kChunkColsFew : kChunkColsMany;
  const auto& start = x.start(job.traits);
  const float* scaled_sum = x.scaled_sums[subs - 1].values.data();
  const std::size_t first_token = job.p.first_token + token_begin;

  const Panel panels[kPanelsMax] = {{scratch.quads[0], scratch.scales[0], scratch.mins[0]},
                                    {scratch.quads[1], scratch.scales[1], scratch.mins[1]}};
  std::memset(scratch.y, 0, std::size_t{n_tokens} * n_panels * kPanelRows * sizeof(float));
  for (std::uint32_t col = 0; col < job.w.cols; col += chunk_cols) {
    const std::uint32_t cols = std::min(chunk_cols, job.w.cols - col);
    for (std::uint32_t m = 0; m < n_panels; ++m) {
      const std::size_t n_before = col / job.traits.block_cols;
      const std::byte* rows = job.w.data + job.panel_row(panel + m) * job.row_stride;
      // What lies as far into the bytes ahead as this chunk into the panel's.
      const std::uintptr_t chunk_ahead =
          ahead + m * panel_bytes + row_bytes(job.w.type, col) * kPanelRows;
      job.read.unpack(rows + n_before * job.block_bytes, job.row_stride,
                      cols / job.traits.block_cols, panels[m], chunk_ahead);
    }
    const std::size_t first = first_token * x.n_groups + col / kGroupCols;
    job.product({.panels = panels,
                 .n_panels = n_panels,
                 .n_groups = cols / kGroupCols,
                 .n_tokens = n_tokens,
                 .q = x.q.data() + first_token * x.cols + col,
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

// Panels [begin, end), all tokens.  `ahead`: what to fetch towards the end.
void multiply_quantized(const QuantJob& job, std::uint32_t begin, std::uint32_t end,
                        std::uintptr_t ahead) {
  const std::uint32_t n_tokens = job.p.n_tokens;
  const std::uint32_t side_by_side = std::min(n_tokens < 3 ? 1U : 2U, job.k.tile_panels);
  for (std::uint32_t token = 0; token < n_tokens; token += kTileTokensMax) {
    const std::uint32_t tokens = std::min(kTileTokensMax, n_tokens - token);
    for (std::uint32_t panel = begin; panel < end; panel += side_by_side) {
      const std::uint32_t n_panels = std::min(side_by_side, end - panel);
      multiply_panels(job, panel, n_panels, token, tokens, panel + n_panels == end ? ahead : 0);
    }
  }
}

// Matrices of fewer rows than a panel: copied to one with zero rows below.
void multiply_small(const Product& p, const QuantTraits& traits, const Activations::State& x) {
  const std::size_t stride = row_bytes(p.w.type, p.w.cols);
  AlignedBuffer<std::byte> padded;
  AlignedBuffer<float> sums;
  std::memset(padded.ensure(kPanelRows * stride), 0, kPanelRows * stride);
  std::memcpy(padded.data(), p.w.data, p.w.rows * stride);
  const Product whole{.w = {p.w.type, kPanelRows, p.w.cols, padded.data()},
                      .y = sums.ensure(std::size_t{p.n_tokens} * kPanelRows),
                      .y_stride = kPanelRows,
                      .first_token = p.first_token,
                      .n_tokens = p.n_tokens};
  multiply_quantized({whole, traits, x}, 0, 1, 0);
  for (std::uint32_t t = 0; t < p.n_tokens; ++t) {
    for (std::uint32_t row = 0; row < p.w.rows; ++row) {
      const float sum = sums.data()[std::size_t{t} * kPanelRows + row];
      p.y[t * p.y_stride + row] = p.bias == nullptr ? sum : sum + p.bias[row];
    }
  }
}

// Rows [begin, end) of a matrix of floats, all tokens.
void multiply_floats(const Product& p, const Activations::State& x, std::uint32_t begin,
                     std::uint32_t end) {
  static thread_local AlignedBuffer<float> scratch;
  const bool few = p.n_tokens <= kDotFewTokens;
  const std::size_t row_stride = row_bytes(p.w.type, p.w.cols);
  kernels().float_product(p.w.type)(
      {.w = p.w.data + begin * row_stride,
       .row_stride = row_stride,
       .n_rows = end - begin,
       .cols = p.w.cols,
       .x = x.x.data() + p.first_token * x.x_stride,
       .x_stride = x.x_stride,
       .n_tokens = p.n_tokens,
       .y = p.y + begin,
       .y_stride = p.y_stride,
       .scratch = few ? nullptr : scratch.ensure(kDotScratchFloats)});
  if (p.bias == nullptr) return;
  for (std::uint32_t t = 0; t < p.n_tokens; ++t) {
    for (std::uint32_t row = begin; row < end; ++row) p.y[t * p.y_stride + row] += p.bias[row];
  }
}

// How a matrix is cut: in tasks of `unit` panels, or rows of floats.
struct Cut {
  std::uint32_t n_units;  // Panels or rows.
  std::uint32_t unit;     // Of a task.

  std::uint32_t n_tasks() const { return (n_units - 1) / unit + 1; }
};

// A task is small enough to share evenly and large enough to be worth taking.
Cut cut_quantized(const MatView& w, std::uint32_t n_tokens, unsigned n_threads) {
  const std::uint32_t n_panels = (w.rows + kPanelRows - 1) / kPanelRows;
  if (n_tokens > kFewTokens) return {n_panels, kTaskRowsMany / kPanelRows};
  const std::size_t panel_bytes = kPanelRows * row_bytes(w.type, w.cols);
  const auto at_least = static_cast<std::uint32_t>((kTaskBytesMin - 1) / panel_bytes + 1);
  const std::uint32_t panels = std::max(at_least, n_panels / (n_threads * kTasksPerThreadMax));
  return {n_panels, (panels + 1) / 2 * 2};
}

Cut cut_floats(const MatView& w, std::uint32_t n_tokens, unsigned n_threads) {
  if (n_tokens > kDotFewTokens) return {w.rows, kDotTaskRows};
  const auto at_least =
      static_cast<std::uint32_t>(kTaskBytesMin / (row_bytes(w.type, w.cols) + 1) + 1);
  const std::uint32_t rows = std::max(at_least, w.rows / (n_threads * kTasksPerThreadMax));
  return {w.rows, (rows + kDotRowsMax - 1) / kDotRowsMax * kDotRowsMax};
}

Cut cut(const MatView& w, std::uint32_t n_tokens, unsigned n_threads) {
  if (quant_traits(w.type) == nullptr) return cut_floats(w, n_tokens, n_threads);
  if (w.rows < kPanelRows) return {1, 1};
  return cut_quantized(w, n_tokens, n_threads);
}

// The tasks of several matrices, one after another.
class TaskList {
 public:
  struct Place {
    std::size_t matrix;
    std::uint32_t task;  // Within it.
  };

  void add(const MatView& w, std::uint32_t n_tokens, unsigned n_threads) {
    HEARTH_CHECK(w.rows > 0 && n_ < kProductsMax);
    const std::size_t row = row_bytes(w.type, w.cols);
    cuts_[n_] = cut(w, n_tokens, n_threads);
    starts_[n_] = reinterpret_cast<std::uintptr_t>(w.data);
    task_bytes_[n_] = cuts_[n_].unit * row * (quant_traits(w.type) == nullptr ? 1 : kPanelRows);
    n_tasks_ += cuts_[n_].n_tasks();
    ends_[n_++] = n_tasks_;
  }

  std::uint32_t n_tasks() const { return n_tasks_; }
  const Cut& cut_of(std::size_t matrix) const { return cuts_[matrix]; }

  Place find(std::uint32_t task) const {
    std::size_t matrix = 0;
    while (task >= ends_[matrix]) ++matrix;
    return {matrix, matrix == 0 ? task : task - ends_[matrix - 1]};
  }

  // Where a task's weights begin.
  std::uintptr_t address(std::uint32_t task) const {
    const Place place = find(task);
    return starts_[place.matrix] + place.task * task_bytes_[place.matrix];
  }

 private:
  std::size_t n_ = 0;
  std::uint32_t n_tasks_ = 0;
  std::uint32_t ends_[kProductsMax];
  Cut cuts_[kProductsMax];
  std::uintptr_t starts_[kProductsMax];
  std::size_t task_bytes_[kProductsMax];
};

// What the thread that has `task` will probably read after it; 0 where nobody knows.
std::uintptr_t address_after(const TaskList& tasks, const TaskList& next, std::uint32_t task,
                             unsigned n_threads) {
  const unsigned thread =
      static_cast<unsigned>(std::uint64_t{task} * n_threads / tasks.n_tasks());
  if (task + 1 < ThreadPool::home_begin(tasks.n_tasks(), thread + 1, n_threads)) {
    return tasks.address(task + 1);
  }
  if (next.n_tasks() == 0) return 0;
  const std::uint32_t begin = ThreadPool::home_begin(next.n_tasks(), thread, n_threads);
  return begin < next.n_tasks() ? next.address(begin) : 0;
}

void check(const Product& p, const Activations::State& x) {
  HEARTH_CHECK(p.w.cols == x.cols && p.first_token + p.n_tokens <= x.n_tokens);
  const QuantTraits* traits = quant_traits(p.w.type);
  if (traits == nullptr) {
    HEARTH_CHECK(x.has_floats);
  } else {
    HEARTH_CHECK(x.has_int8 && x.start(*traits).wanted);
    HEARTH_CHECK(row_bytes(p.w.type, p.w.cols) < kRowBytesMax);
  }
}

}  // namespace

void matmul(std::span<const Product> products, const Activations& x, ThreadPool& pool,
            std::span<const MatView> next) {
  const Activations::State& state = x.state();
  const unsigned n_threads = pool.n_threads();
  TaskList tasks;
  const Product* of[kProductsMax];
  std::size_t n = 0;
  std::uint32_t n_tokens_max = 0;
  for (const Product& p : products) {
    check(p, state);
    if (p.w.rows == 0 || p.n_tokens == 0) continue;
    tasks.add(p.w, p.n_tokens, n_threads);
    of[n++] = &p;
    n_tokens_max = std::max(n_tokens_max, p.n_tokens);
  }
  if (n == 0) return;
  TaskList coming;
  // With many tokens, what is fetched ahead would not stay until it is used.
  if (n_tokens_max <= kFewTokens) {
    for (const MatView& w : next) {
      if (w.rows > 0) coming.add(w, n_tokens_max, n_threads);
    }
  }
  pool.run(tasks.n_tasks(), [&](std::uint32_t index) {
    const auto [matrix, task] = tasks.find(index);
    const Product& p = *of[matrix];
    const Cut& cut = tasks.cut_of(matrix);
    const std::uint32_t begin = task * cut.unit;
    const std::uint32_t end = std::min(cut.n_units, begin + cut.unit);
    const QuantTraits* const traits = quant_traits(p.w.type);
    if (traits == nullptr) return multiply_floats(p, state, begin, end);
    if (p.w.rows < kPanelRows) return multiply_small(p, *traits, state);
    multiply_quantized({p, *traits, state}, begin, end,
                       address_after(tasks, coming, index, n_threads));
  });
}

void matmul(const MatView& w, const Activations& x, float* y, std::size_t y_stride,
            ThreadPool& pool) {
  const Product product{
      .w = w, .y = y, .y_stride = y_stride, .n_tokens = x.state().n_tokens};
  matmul(std::span(&product, 1), x, pool);
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

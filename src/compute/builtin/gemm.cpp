#include "compute/builtin/gemm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "compute/builtin/isa/kernel_table.h"
#include "compute/builtin/large_buffer.h"
#include "compute/builtin/rounding.h"
#include "tensor/aligned_buffer.h"

namespace hearth::compute {
namespace {

using Index = std::int64_t;

// Multiply-adds up to which a product is small: one fork, and no copies that are shared.  Up to the
// larger number if rows of a and b are nearer than a page.
constexpr double kSmallWork = 320.0 * 320 * 320;
constexpr double kSmallWorkNear = 512.0 * 512 * 512;
constexpr Index kColsOfBlock = 4096;  // Of b at a time, in the blocked form.
constexpr Index kPanelsOfCopy = 4;    // Of a task that copies b.
template <class T>
constexpr Index kRowsOfTask =
    1536 / static_cast<Index>(sizeof(T));  // 0.6 MiB of a copy: a second-level cache has 1 or 2.
constexpr Index kRowsOfTaskMin = 24;
constexpr Index kTasksPerThread = 4;  // So that who is late is helped out.
// A small product reads b where it lies: at n = 256 a copy of its panels costs 3 to 7 %.  But not
// where each row lies in a page of its own and many rows of a go by.
constexpr Index kRowsWorthCopy = 24;
constexpr Index kPageBytes = 4096;
template <class T>
constexpr Index kLine = 64 / static_cast<Index>(sizeof(T));
// Between rows of a's copy: an odd number of lines, so that they lie in different sets.
template <class T>
constexpr Index kDepthStride = kGemmDepth + kLine<T>;

// Scratch of a thread: a panel of b, and its rows of a.
template <class T>
struct Scratch {
  tensor::AlignedBuffer<T> panel;
  LargeBuffer<T> rows;
};
template <class T>
Scratch<T>& scratch() {
  thread_local Scratch<T> own;
  return own;
}

// Columns [col, col + n_cols) of b; a copy has `width`, whole vectors.
struct Panel {
  Index col = 0;
  Index n_cols = 0;
  Index width = 0;
};

// n columns in panels of nearly the same number of vectors, at most a tile's: a last panel of one
// vector would keep a third of the sums in flight that the multipliers need.
class Panels {
 public:
  template <class T>
  Panels(Index n, const GemmLoops<T>& loops)
      : n_(n),
        lanes_(loops.lanes),
        n_vectors_(divide_up(n, lanes_)),
        count_(divide_up(n_vectors_, loops.tile_vectors)) {}

  Index count() const { return count_; }
  Panel operator[](Index i) const {
    const Index begin = n_vectors_ * i / count_ * lanes_;
    const Index end = n_vectors_ * (i + 1) / count_ * lanes_;
    return {begin, std::min(end, n_) - begin, end - begin};
  }

 private:
  Index n_, lanes_, n_vectors_, count_;
};

// [begin, begin + count) of k, in blocks of nearly the same depth.
struct Depth {
  Index begin = 0;
  Index count = 0;
};
Index n_depths(Index k) { return divide_up(k, kGemmDepth); }
Depth depth_of(Index k, Index i) {
  const Index begin = k * i / n_depths(k);
  return {begin, k * (i + 1) / n_depths(k) - begin};
}

// One row of a panel: to[width] = from[n_cols], 0 beyond.
template <class T>
void copy_row(const T* from, Index col_stride, const Panel& panel, T* to) {
  if (col_stride == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(panel.n_cols) * sizeof(T));
  } else {
    for (Index col = 0; col < panel.n_cols; ++col) to[col] = from[col * col_stride];
  }
  if (panel.n_cols < panel.width) std::fill(to + panel.n_cols, to + panel.width, T{0});
}

// Panels [first, last) of rows of b, each to its place: a panel's rows one after another.  Row by
// row through all of them, since b's rows lie together and a panel's part of one is three lines.
template <class T>
void copy_panels(const MatrixView<const T>& b, const Panels& panels, Index first, Index last,
                 Index n_rows, T* to) {
  for (Index row = 0; row < n_rows; ++row) {
    const T* const from = b.data + row * b.row_stride;
    for (Index p = first; p < last; ++p) {
      const Panel panel = panels[p];
      copy_row(from + panel.col * b.col_stride, b.col_stride, panel,
               to + panel.col * n_rows + row * panel.width);
    }
  }
}

// to[row][kDepthStride] = a[row][k...]
template <class T>
void copy_rows(const MatrixView<const T>& a, Index n_rows, Index k, T* to) {
  for (Index row = 0; row < n_rows; ++row, to += kDepthStride<T>) {
    const T* const from = a.data + row * a.row_stride;
    if (a.col_stride == 1) {
      // Rows lie far apart, and nothing but this knows where the next ones are.
      for (Index i = 0; i < k; i += kLine<T>) __builtin_prefetch(from + 2 * a.row_stride + i);
      std::memcpy(to, from, static_cast<std::size_t>(k) * sizeof(T));
    } else {
      for (Index i = 0; i < k; ++i) to[i] = from[i * a.col_stride];
    }
  }
}

// Memory that is needed next, in lines.
struct Next {
  const std::byte* begin = nullptr;
  Index n_lines = 0;
};

// c[n_rows, n_cols] (+)= a b for one panel of b, tile by tile; each tile fetches its part of what
// is next.
template <class T>
void multiply_panel(const GemmLoops<T>& loops, GemmTile<T> tile, Index n_rows, Next next = {}) {
  const Index vectors = divide_up(tile.n_cols, Index{loops.lanes});
  const Index lines_of_tile = divide_up(next.n_lines, divide_up(n_rows, Index{loops.tile_rows}));
  for (Index row = 0; row < n_rows; row += loops.tile_rows) {
    tile.n_rows = std::min<Index>(loops.tile_rows, n_rows - row);
    tile.next = next.begin;
    tile.next_lines = std::min(lines_of_tile, next.n_lines);
    next.begin += 64 * tile.next_lines;
    next.n_lines -= tile.next_lines;
    loops.tiles[tile.n_rows - 1][vectors - 1](tile);
    tile.a += tile.n_rows * tile.a_stride;
    tile.c += tile.n_rows * tile.c_stride;
  }
}

template <class T>
MatrixView<const T> part_of(const MatrixView<const T>& view, Index row, Index col) {
  return {view.data + row * view.row_stride + col * view.col_stride, view.row_stride,
          view.col_stride};
}

template <class T>
bool is_far(const MatrixView<const T>& view) {
  return std::abs(view.row_stride) * static_cast<Index>(sizeof(T)) >= kPageBytes;
}

struct Rows {
  Index begin = 0;
  Index count = 0;
};

// How m rows and so many panels are handed out: tasks of whole tiles of rows, nearly as many to
// each, and so many panels.
struct Grid {
  Index m = 0;
  Index tile_rows = 0;
  Index n_panels = 0;
  Index panels = 0;
  Index n_row_tasks = 0;
  Index n_panel_tasks = 0;

  std::uint32_t n_tasks() const { return static_cast<std::uint32_t>(n_row_tasks * n_panel_tasks); }
  Rows rows_of(Index task) const {
    const Index n_tiles = divide_up(m, tile_rows), i = task / n_panel_tasks;
    const Index begin = n_tiles * i / n_row_tasks * tile_rows;
    return {begin, std::min(n_tiles * (i + 1) / n_row_tasks * tile_rows, m) - begin};
  }
  Index first_panel(Index task) const { return task % n_panel_tasks * panels; }
  Index end_panel(Index task) const { return std::min(first_panel(task) + panels, n_panels); }
};

// Rows first: all of a task's panels share them.  As many tasks for each thread: 11 equal ones on
// two threads take the time of 12, at every block.
Grid cut(Index m, Index n_panels, Index tile_rows, Index rows_max, unsigned n_threads) {
  const Index wanted = n_threads == 1 ? 1 : n_threads * kTasksPerThread;
  const Index rows = std::clamp(divide_up(m, wanted), std::min(kRowsOfTaskMin, rows_max), rows_max);
  Grid grid{m, tile_rows, n_panels};
  grid.n_row_tasks = divide_up(m, round_up(rows, tile_rows));
  if (grid.n_row_tasks > n_threads) {
    grid.n_row_tasks =
        std::min(round_up(grid.n_row_tasks, Index{n_threads}), divide_up(m, tile_rows));
  }
  const Index groups = std::clamp<Index>(divide_up(wanted, grid.n_row_tasks), 1, n_panels);
  grid.panels = divide_up(n_panels, groups);
  grid.n_panel_tasks = divide_up(n_panels, grid.panels);
  return grid;
}

template <class T>
class Product {
 public:
  Product(const GemmCall<T>& call, const Workers& workers)
      : call_(call), workers_(workers), loops_(kernel_table().gemm<T>()) {}

  void run_small() {
    const Panels panels(call_.n, loops_);
    const Grid grid = cut(call_.m, panels.count(), loops_.tile_rows, call_.m, workers_.n_threads());
    workers_.run(grid.n_tasks(), [&](std::uint32_t task) {
      const Rows rows = grid.rows_of(task);
      const Index end = grid.end_panel(task);
      for (Index p = grid.first_panel(task); p < end && !workers_.gave_up(); ++p) {
        for (Index i = 0; i < n_depths(call_.k); ++i) {
          small_panel(rows.begin, rows.count, panels[p], depth_of(call_.k, i));
        }
      }
    });
  }

  void run_blocked() {
    thread_local LargeBuffer<T> shared;
    const Index cols = round_up(std::min(kColsOfBlock, call_.n), loops_.lanes);
    T* const copies = shared.ensure(static_cast<std::size_t>(cols * std::min(call_.k, kGemmDepth)));
    for (Index col = 0; col < call_.n; col += kColsOfBlock) {
      for (Index i = 0; i < n_depths(call_.k); ++i) {
        block(col, std::min(kColsOfBlock, call_.n - col), depth_of(call_.k, i), copies);
      }
    }
  }

 private:
  GemmTile<T> tile_at(Index row, Index col, Index n_cols, const Depth& depth) const {
    GemmTile<T> tile;
    tile.k = depth.count;
    tile.c = call_.c.data + row * call_.c.row_stride + col;
    tile.c_stride = call_.c.row_stride;
    tile.n_cols = n_cols;
    tile.add = depth.begin > 0;
    return tile;
  }

  // The panel of b as it lies where that is enough, else a copy of the thread's own.
  void small_panel(Index row, Index n_rows, const Panel& panel, const Depth& depth) {
    GemmTile<T> tile = tile_at(row, panel.col, panel.n_cols, depth);
    const auto b = part_of(call_.b, depth.begin, panel.col);
    const bool whole = panel.n_cols == panel.width && b.col_stride == 1;
    tile.b = b.data;
    tile.b_stride = b.row_stride;
    if (!whole || (n_rows >= kRowsWorthCopy && is_far(b))) {
      T* const copy =
          scratch<T>().panel.ensure(static_cast<std::size_t>(depth.count * panel.width));
      for (Index i = 0; i < depth.count; ++i) {
        copy_row(b.data + i * b.row_stride, b.col_stride, panel, copy + i * panel.width);
      }
      tile.b = copy;
      tile.b_stride = panel.width;
    }
    const auto a = part_of(call_.a, row, depth.begin);
    tile.a = a.data;
    tile.a_stride = a.row_stride;
    if (a.col_stride == 1) return multiply_panel(loops_, tile, n_rows);
    multiply_copied_rows(a, n_rows, tile);
  }

  // Where a's rows are not contiguous: a few at a time.
  void multiply_copied_rows(const MatrixView<const T>& a, Index n_rows, GemmTile<T> tile) {
    T* const rows =
        scratch<T>().rows.ensure(static_cast<std::size_t>(kRowsOfTask<T> * kDepthStride<T>));
    tile.a_stride = kDepthStride<T>;
    T* const c = tile.c;
    for (Index row = 0; row < n_rows; row += kRowsOfTask<T>) {
      const Index count = std::min(kRowsOfTask<T>, n_rows - row);
      copy_rows(part_of(a, row, 0), count, tile.k, rows);
      tile.a = rows;
      tile.c = c + row * tile.c_stride;
      multiply_panel(loops_, tile, count);
    }
  }

  // All rows with n_cols columns of b and one block of k.
  void block(Index col, Index n_cols, const Depth& depth, T* copies) {
    const Panels panels(n_cols, loops_);
    const Index n_copies = divide_up(panels.count(), kPanelsOfCopy);
    workers_.run(static_cast<std::uint32_t>(n_copies), [&](std::uint32_t i) {
      const Index first = i * kPanelsOfCopy;
      copy_panels(part_of(call_.b, depth.begin, col), panels, first,
                  std::min(first + kPanelsOfCopy, panels.count()), depth.count, copies);
    });
    const Grid grid =
        cut(call_.m, panels.count(), loops_.tile_rows, kRowsOfTask<T>, workers_.n_threads());
    workers_.run(grid.n_tasks(), [&](std::uint32_t task) {
      const auto [row, n_rows] = grid.rows_of(task);
      T* const rows =
          scratch<T>().rows.ensure(static_cast<std::size_t>(kRowsOfTask<T> * kDepthStride<T>));
      copy_rows(part_of(call_.a, row, depth.begin), n_rows, depth.count, rows);
      const Index end = grid.end_panel(task);
      for (Index p = grid.first_panel(task); p < end && !workers_.gave_up(); ++p) {
        const Panel panel = panels[p];
        GemmTile<T> tile = tile_at(row, col + panel.col, panel.n_cols, depth);
        tile.a = rows;
        tile.a_stride = kDepthStride<T>;
        tile.is_far = true;
        tile.b = copies + panel.col * depth.count;
        tile.b_stride = panel.width;
        multiply_panel(loops_, tile, n_rows,
                       p + 1 < end ? next_of(panels[p + 1], depth, copies) : Next{});
      }
    });
  }

  static Next next_of(const Panel& panel, const Depth& depth, const T* copies) {
    const auto* const begin = reinterpret_cast<const std::byte*>(copies + panel.col * depth.count);
    return {begin, panel.width * depth.count / kLine<T>};
  }

  const GemmCall<T>& call_;
  const Workers& workers_;
  const GemmLoops<T>& loops_;
};

template <class T>
void fill_zero(const GemmCall<T>& call) {
  for (Index i = 0; i < call.m; ++i) {
    std::fill_n(call.c.data + i * call.c.row_stride, call.n, T{0});
  }
}

template <class T>
void multiply(GemmCall<T> call, const Workers& workers) {
  if (call.m == 0 || call.n == 0) return;
  if (call.c.col_stride != 1) {
    // c' = b' a', with rows that lie next to one another.
    std::swap(call.m, call.n);
    std::swap(call.a, call.b);
    for (auto* view : {&call.a, &call.b}) std::swap(view->row_stride, view->col_stride);
    std::swap(call.c.row_stride, call.c.col_stride);
  }
  if (call.k == 0) return fill_zero(call);
  Product<T> product(call, workers);
  const double work =
      static_cast<double>(call.m) * static_cast<double>(call.n) * static_cast<double>(call.k);
  const bool is_near = !is_far(call.a) && !is_far(call.b);
  if (work <= (is_near ? kSmallWorkNear : kSmallWork)) return product.run_small();
  product.run_blocked();
}

template <class T>
void multiply_vector(Index m, Index k, const T* a, Index a_stride, const T* x, T* y,
                     const Workers& workers) {
  // Some 64 KiB of a each; whole groups of rows, which share the loads of x.
  const Index bytes = std::max<Index>(k, 1) * static_cast<Index>(sizeof(T));
  const Index rows = std::max<Index>(round_up(divide_up(Index{64} << 10, bytes), 8), 8);
  const auto& loops = kernel_table().gemm<T>();
  workers.run(static_cast<std::uint32_t>(divide_up(m, rows)), [&](std::uint32_t task) {
    const Index row = task * rows;
    loops.gemv(a + row * a_stride, a_stride, x, k, std::min(rows, m - row), y + row);
  });
}

}  // namespace

void gemm(const GemmCall<float>& call, const Workers& workers) { multiply(call, workers); }
void gemm(const GemmCall<double>& call, const Workers& workers) { multiply(call, workers); }

void gemv(Index m, Index k, const float* a, Index a_stride, const float* x, float* y,
          const Workers& workers) {
  multiply_vector(m, k, a, a_stride, x, y, workers);
}
void gemv(Index m, Index k, const double* a, Index a_stride, const double* x, double* y,
          const Workers& workers) {
  multiply_vector(m, k, a, a_stride, x, y, workers);
}

}  // namespace hearth::compute

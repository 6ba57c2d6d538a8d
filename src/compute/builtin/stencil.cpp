#include "compute/builtin/stencil.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "compute/builtin/elementwise.h"
#include "compute/builtin/isa/kernel_table.h"
#include "compute/builtin/large_buffer.h"
#include "compute/builtin/rounding.h"
#include "tensor/aligned_buffer.h"

namespace hearth::compute {
namespace {

using Index = std::int64_t;

constexpr Index kKeptBytes = Index{16} << 20;
constexpr Index kRingBytes = Index{384} << 10;  // Of all levels: part of an L2.
constexpr Index kColsOfTask = 4096;             // Ten rows of as many lie in an L2.
constexpr Index kTaskBytes = Index{256} << 10;
constexpr Index kBandsPerThread = 4;
constexpr Index kLine = 64 / sizeof(double);

// [begin, end) of part i of `count` parts of n.
struct Range {
  Index begin, end;
};
Range part_of(Index n, Index i, Index count) { return {n * i / count, n * (i + 1) / count}; }

struct Grid {
  Index n = 0, m = 0;

  bool is_border_row(Index i) const { return i == 0 || i == n - 1; }
  bool has_interior() const { return n > 2 && m > 2; }
  bool is_large() const { return n * m * Index{sizeof(double)} >= kStreamBytes; }
};

// One sweep: rows and columns in pieces, each written once.
void sweep_once(const Grid& grid, const double* u, double* out, const Workers& workers) {
  const auto& loops = kernel_table().stencil;
  const Index m = grid.m;
  const Index n_col_tasks = divide_up(m, kColsOfTask);
  const Index cols = std::min(m, kColsOfTask);
  // Whole blocks, of which each fetches what the next one reads, another task's, too.
  const Index blocks = kTaskBytes / (cols * Index{sizeof(double)}) / kJacobiRows;
  const Index rows = std::max<Index>(blocks, 1) * kJacobiRows;
  const Index n_row_tasks = divide_up(grid.n, rows);
  workers.run(static_cast<std::uint32_t>(n_row_tasks * n_col_tasks), [&](std::uint32_t task) {
    const Range cells = part_of(m, task % n_col_tasks, n_col_tasks);
    const Index first = std::max<Index>(cells.begin, 1);
    const Index last = std::min(cells.end, m - 1);
    const Index row = task / n_col_tasks * rows;
    const Index end = std::min(row + rows, grid.n);
    const bool in_lines = grid.is_large() && m % kLine == 0;
    for (Index i = row; i < end;) {
      const double* const from = u + i * m;
      double* const to = out + i * m;
      if (grid.is_border_row(i)) {
        std::copy(from + cells.begin, from + cells.end, to + cells.begin);
        ++i;
        continue;
      }
      const bool is_block = in_lines && i + kJacobiRows <= std::min(end, grid.n - 1);
      const Index count = is_block ? kJacobiRows : 1;
      for (Index r = 0; r < count; ++r) {
        if (cells.begin == 0) to[r * m] = from[r * m];
        if (cells.end == m) to[r * m + m - 1] = from[r * m + m - 1];
      }
      if (is_block) {
        loops.jacobi_rows(to + first, from + first, m, last - first);
      } else {
        loops.jacobi_cells(to + first, from + first - m, from + first, from + first + m,
                           last - first, grid.is_large());
      }
      i += count;
    }
    kernel_table().fence();
  });
}

// Several sweeps over a tile of the grid in one way down: level t is the grid after t sweeps, and
// rows of level t are computed, four at a time, as soon as the row below them has reached level
// t - 1.  Between two levels there is a ring of rows.
//
// What a tile needs of its neighbours' it computes too: rows t before its last level's, and kHalo
// columns on either side at all levels.  Of those one more is wrong with each level, since nothing
// lies beyond them, and the last level's own are right.
class Wavefront {
 public:
  Wavefront(const Grid& grid, const double* u, Index n_levels, double* out, Range columns)
      : grid_(grid),
        u_(u),
        n_levels_(n_levels),
        out_(out),
        columns_(columns),
        first_(std::max<Index>(columns.begin - kHalo, 0)),
        last_(std::min(columns.end + kHalo, grid.m - 1)),
        stride_((last_ - first_ + 2 * kLine) / kLine * kLine + kApart),
        has_lines_(grid.m % kLine == 0 && reinterpret_cast<std::uintptr_t>(out) % 64 == 0) {}

  // Of a tile's width, so that its rings lie in the cache.
  static Index lines_that_fit(Index n_levels) {
    return kRingBytes / ((n_levels - 1) * kRowsOfRing * kLine * Index{sizeof(double)});
  }

  void run(Range rows, const Workers& workers) {
    prepare_rings();
    if (rows.begin == 0) copy_border(0);
    if (rows.end == grid_.n) copy_border(grid_.n - 1);
    const Index begin = std::max<Index>(rows.begin - n_levels_ + 1, 1);
    const Index end = std::min(rows.end, grid_.n - 1) + n_levels_ - 1;
    for (Index step = begin; step < end && !workers.gave_up(); step += kJacobiRows) {
      for (Index level = 1; level <= n_levels_; ++level) {
        fetch_part(step, level);
        // The rows of this level that the last one's depend on.
        const Index reach = n_levels_ - level;
        const Index row = step - level + 1;
        compute(level, {std::max({row, rows.begin - reach, Index{1}}),
                        std::min({row + kJacobiRows, rows.end + reach, grid_.n - 1})});
      }
    }
    kernel_table().fence();
  }

 private:
  static constexpr Index kHalo = kSweepsOfPass;
  static constexpr Index kRowsOfRing = 8;     // Six are needed: four, and one above and below.
  static constexpr Index kApart = 9 * kLine;  // So that rows don't share their sets of the caches.
  static_assert(kHalo % kLine == 0 && kRowsOfRing >= kJacobiRows + 2);

  void prepare_rings() {
    thread_local tensor::AlignedBuffer<double> scratch;
    const Index n_rows = (n_levels_ - 1) * kRowsOfRing;
    rings_ = scratch.ensure(static_cast<std::size_t>(n_rows * stride_));
    // Beyond the columns that are computed: any number will do, but not one that is slow.
    for (Index i = 0; i < n_rows; ++i) {
      double* const row = rings_ + i * stride_ + kLine;
      row[-1] = row[last_ - first_] = 0;
    }
  }

  void copy_border(Index i) const {
    const double* const row = u_ + i * grid_.m;
    std::copy(row + columns_.begin, row + columns_.end, out_ + i * grid_.m + columns_.begin);
  }

  // Column first_ of a row.
  const double* row_of(Index level, Index i) const {
    if (level == 0 || grid_.is_border_row(i)) return u_ + i * grid_.m + first_;
    return ring_row(level, i);
  }
  double* ring_row(Index level, Index i) const {
    return rings_ + ((level - 1) * kRowsOfRing + i % kRowsOfRing) * stride_ + kLine;
  }

  // The rows of u that the first level reads in the step after next, a part with each level.
  void fetch_part(Index step, Index level) const {
    const Index n_lines = (last_ - first_) / kLine + 1;
    for (Index r = 0; r < kJacobiRows; ++r) {
      const Index i = step + 2 * kJacobiRows + 1 + r;
      if (i >= grid_.n) return;
      const double* const row = u_ + i * grid_.m + first_;
      for (Index line = n_lines * (level - 1) / n_levels_; line < n_lines * level / n_levels_;
           ++line)
        __builtin_prefetch(row + line * kLine, 0, 2);
    }
  }

  void compute(Index level, Range rows) const {
    if (rows.begin >= rows.end) return;
    const bool is_last = level == n_levels_;
    const Index begin = is_last ? columns_.begin : first_;
    const Index n_cells = (is_last ? std::min(columns_.end, grid_.m - 1) : last_) - begin;
    const Index n_rows = rows.end - rows.begin;
    const double* from[kJacobiRows + 2];
    double* to[kJacobiRows];
    for (Index r = 0; r < n_rows + 2; ++r)
      from[r] = row_of(level - 1, rows.begin - 1 + r) + (begin - first_);
    for (Index r = 0; r < n_rows; ++r) {
      const Index i = rows.begin + r;
      to[r] = is_last ? out_ + i * grid_.m + begin : ring_row(level, i);
    }
    const auto& loops = kernel_table().stencil;
    const bool stream = is_last && grid_.is_large();
    if (n_rows == kJacobiRows && (!stream || has_lines_)) {
      loops.jacobi_block(to, from, n_cells, stream);
    } else {
      for (Index r = 0; r < n_rows; ++r)
        loops.jacobi_cells(to[r], from[r], from[r + 1], from[r + 2], n_cells, stream);
    }
    // The grid's first and last column, where the tile has them.
    const bool is_leftmost = begin == 0;
    const bool is_rightmost = is_last ? columns_.end == grid_.m : last_ == grid_.m - 1;
    for (Index r = 0; r < n_rows; ++r) {
      const double* const border = u_ + (rows.begin + r) * grid_.m;
      if (is_leftmost) to[r][0] = border[0];
      if (is_rightmost) to[r][grid_.m - 1 - begin] = border[grid_.m - 1];
    }
  }

  const Grid& grid_;
  const double* u_;
  const Index n_levels_;
  double* out_;
  const Range columns_;       // Of the last level.
  const Index first_, last_;  // Of the others, whose columns are [first_, last_).
  const Index stride_;        // Between rows of the rings.
  const bool has_lines_;      // Rows of `out` begin lines.
  double* rings_ = nullptr;
};

void sweep_levels(const Grid& grid, const double* u, Index n_levels, double* out,
                  const Workers& workers) {
  if (n_levels == 1) return sweep_once(grid, u, out, workers);
  const Index n_lines = divide_up(grid.m, kLine);
  const Index n_col_tasks = divide_up(n_lines, Wavefront::lines_that_fit(n_levels));
  // Bands so high that the rows that both neighbours compute hardly count.
  const Index wanted = workers.n_threads() == 1 ? 1 : kBandsPerThread * workers.n_threads();
  const Index bands_max = std::max<Index>(grid.n / (8 * n_levels), 1);
  const Index n_bands = std::clamp<Index>(divide_up(wanted, n_col_tasks), 1, bands_max);
  workers.run(static_cast<std::uint32_t>(n_bands * n_col_tasks), [&](std::uint32_t task) {
    const Range lines = part_of(n_lines, task % n_col_tasks, n_col_tasks);
    const Range columns{lines.begin * kLine, std::min(lines.end * kLine, grid.m)};
    Wavefront(grid, u, n_levels, out, columns)
        .run(part_of(grid.n, task / n_col_tasks, n_bands), workers);
  });
}

// Relaxation of rows 1 to n - 2 in bands; see stencil.h for the order.
class Relaxation {
 public:
  Relaxation(const Grid& grid, const double* rhs, double omega, double* u)
      : grid_(grid), rhs_(rhs), omega_(omega), u_(u) {}

  void sweep(const Workers& workers) const {
    const Index n_rows = grid_.n - 2;
    const Index wanted = workers.n_threads() == 1 ? 1 : workers.n_threads() * kBandsPerThread;
    const Index n_bands = std::clamp<Index>(n_rows / 2, 1, wanted);
    const auto band_of = [&](std::uint32_t band) {
      const Range rows = part_of(n_rows, band, n_bands);
      return Range{rows.begin + 1, rows.end + 1};
    };
    const auto n_tasks = static_cast<std::uint32_t>(n_bands);
    // A band's first row is read by the band above it, and written while that doesn't run.
    workers.run(n_tasks, [&](std::uint32_t band) { update(band_of(band).begin, kRed); });
    workers.run(n_tasks, [&](std::uint32_t band) {
      const Range rows = band_of(band);
      for (Index i = rows.begin + 1; i < rows.end && !workers.gave_up(); ++i) {
        update(i, kRed);
        if (i - 1 > rows.begin) update(i - 1, kBlack);
      }
      if (rows.end - 1 > rows.begin) update(rows.end - 1, kBlack);
    });
    workers.run(n_tasks, [&](std::uint32_t band) { update(band_of(band).begin, kBlack); });
  }

 private:
  static constexpr Index kRed = 0;
  static constexpr Index kBlack = 1;

  // Cells (i, j) with (i + j) % 2 == colour; the loop's cell 0 is column 1.
  void update(Index i, Index colour) const {
    const Index m = grid_.m;
    double* const row = u_ + i * m + 1;
    kernel_table().stencil.sor_cells(row, row - m, row + m, rhs_ + i * m + 1, m - 2,
                                     (i + 1 + colour) % 2, omega_);
  }

  const Grid& grid_;
  const double* rhs_;
  const double omega_;
  double* u_;
};

}  // namespace

void jacobi5(Index n, Index m, const double* u, Index sweeps, double* out, const Workers& workers) {
  const Grid grid{n, m};
  if (sweeps == 0 || !grid.has_interior()) {
    std::copy(u, u + n * m, out);
    return;
  }
  // A second grid: a small one is kept, since its memory costs more than a sweep.
  thread_local LargeBuffer<double> kept;
  LargeBuffer<double> own;
  LargeBuffer<double>& between = n * m * Index{sizeof(double)} <= kKeptBytes ? kept : own;
  Index passes_left = divide_up(sweeps, kSweepsOfPass);
  double* const beside =
      passes_left > 1 ? between.ensure(static_cast<std::size_t>(n * m)) : nullptr;
  for (Index left = sweeps; left > 0 && !workers.gave_up();) {
    // The last pass writes to `out`, the one before it beside it, and so on.
    double* const to = passes_left % 2 == 1 ? out : beside;
    const Index levels = divide_up(left, passes_left);
    sweep_levels(grid, u, levels, to, workers);
    u = to;
    left -= levels;
    --passes_left;
  }
}

void sor_red_black(Index n, Index m, const double* rhs, double omega, Index sweeps, double* u,
                   const Workers& workers) {
  const Grid grid{n, m};
  if (!grid.has_interior()) return;
  const Relaxation relaxation(grid, rhs, omega, u);
  for (Index i = 0; i < sweeps && !workers.gave_up(); ++i) relaxation.sweep(workers);
}

}  // namespace hearth::compute

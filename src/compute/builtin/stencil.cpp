#include "compute/builtin/stencil.h"

#include <algorithm>
#include <vector>

#include "compute/builtin/elementwise.h"
#include "compute/builtin/isa/kernel_table.h"
#include "tensor/aligned_buffer.h"

namespace hearth::compute {
namespace {

using Index = std::int64_t;

constexpr Index kCacheBytes = Index{768} << 10;  // For the rows between sweeps: part of an L2.
constexpr Index kColsOfTask = 4096;              // Ten rows of as many lie in an L2.
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
  const Index n_col_tasks = (m + kColsOfTask - 1) / kColsOfTask;
  const Index cols = std::min(m, kColsOfTask);
  // Whole blocks, of which each fetches what the next one reads, another task's, too.
  const Index blocks = kTaskBytes / (cols * Index{sizeof(double)}) / kJacobiRows;
  const Index rows = std::max<Index>(blocks, 1) * kJacobiRows;
  const Index n_row_tasks = (grid.n + rows - 1) / rows;
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

// Several sweeps over rows [begin, end) in one way down: level t is the grid after t sweeps, and a
// row of level t is computed as soon as the row below it has reached level t - 1.
class Wavefront {
 public:
  Wavefront(const Grid& grid, const double* u, Index n_levels, double* out)
      : grid_(grid),
        u_(u),
        n_levels_(n_levels),
        out_(out),
        stride_((grid.m + kPage - 1) / kPage * kPage + kApart) {}

  void run(Range rows, const Workers& workers) {
    thread_local tensor::AlignedBuffer<double> scratch;
    rings_ = scratch.ensure(static_cast<std::size_t>((n_levels_ - 1) * 3 * stride_));
    for (Index step = rows.begin - n_levels_ + 1; step < rows.end + n_levels_ && !workers.gave_up();
         ++step) {
      for (Index level = 1; level <= n_levels_; ++level) {
        // The rows of this level that the last one's depend on.
        const Index reach = n_levels_ - level;
        const Index i = step - level + 1;
        if (i >= std::max<Index>(rows.begin - reach, 0) &&
            i < std::min(rows.end + reach, grid_.n)) {
          compute_row(level, i);
        }
      }
    }
    kernel_table().fence();
  }

 private:
  const double* row_of(Index level, Index i) const {
    if (level == 0 || grid_.is_border_row(i)) return u_ + i * grid_.m;
    return ring_row(level, i);
  }
  double* ring_row(Index level, Index i) const {
    return rings_ + ((level - 1) * 3 + i % 3) * stride_;
  }

  void compute_row(Index level, Index i) const {
    const Index m = grid_.m;
    const bool is_last = level == n_levels_;
    const double* const from = u_ + i * m;
    if (grid_.is_border_row(i)) {
      if (is_last) std::copy(from, from + m, out_ + i * m);
      return;
    }
    double* const to = is_last ? out_ + i * m : ring_row(level, i);
    to[0] = from[0];
    to[m - 1] = from[m - 1];
    kernel_table().stencil.jacobi_cells(to + 1, row_of(level - 1, i - 1) + 1,
                                        row_of(level - 1, i) + 1, row_of(level - 1, i + 1) + 1,
                                        m - 2, is_last && grid_.is_large());
  }

  const Grid& grid_;
  const double* u_;
  const Index n_levels_;
  double* out_;
  // Between rows of the rings: whole pages and an odd number of lines.  Else rows of whole pages
  // would share their sets of the caches, and stores would look like what the next loads wait for.
  static constexpr Index kPage = 4096 / sizeof(double);
  static constexpr Index kApart = 9 * kLine;
  Index stride_;
  double* rings_ = nullptr;
};

void sweep_levels(const Grid& grid, const double* u, Index n_levels, double* out,
                  const Workers& workers) {
  if (n_levels == 1) return sweep_once(grid, u, out, workers);
  // Bands so high that the rows that both neighbours compute hardly count.
  const Index n_bands = std::clamp<Index>(grid.n / (8 * n_levels), 1,
                                          workers.n_threads() == 1 ? 1 : 2 * workers.n_threads());
  workers.run(static_cast<std::uint32_t>(n_bands), [&](std::uint32_t band) {
    Wavefront(grid, u, n_levels, out).run(part_of(grid.n, band, n_bands), workers);
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
  const Index fit = 1 + kCacheBytes / (3 * m * Index{sizeof(double)});
  const Index per_pass = std::min(kSweepsOfPass, fit);
  tensor::AlignedBuffer<double> between;
  Index passes_left = (sweeps + per_pass - 1) / per_pass;
  if (passes_left > 1) between.ensure(static_cast<std::size_t>(n * m));
  for (Index left = sweeps; left > 0 && !workers.gave_up();) {
    // The last pass writes to `out`, the one before it beside it, and so on.
    double* const to = passes_left % 2 == 1 ? out : between.data();
    const Index levels = (left + passes_left - 1) / passes_left;
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

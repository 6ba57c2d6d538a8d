// The best approximation of a matrix by one of low rank, as far as random projections find it.
//
// Halko, Martinsson and Tropp, "Finding structure with randomness" (2011, arxiv.org/abs/0909.4061),
// algorithm 4.4: a random subspace is multiplied with D^T D a few times, which turns it to where D is
// largest, and D is small within it.  The matrix is never held: its rows are asked for one after
// another in each of four sweeps, so that the difference of two quantised matrices takes no more
// memory than its factors.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"

namespace hearth::convert {

// D [rows, cols]: `row` writes one row; any thread, several at once.
struct RowSource {
  std::uint32_t rows = 0, cols = 0;
  std::function<void(std::uint32_t index, float* out)> row;
};

// D ~ b a.
struct LowRankFactors {
  std::uint32_t rank = 0;  // At most that which was asked for, or what the shape has.
  std::vector<float> a;    // [rank, cols]
  std::vector<float> b;    // [rows, rank]
  double norm = 0;         // Of D (Frobenius),
  double error = 0;        // and of D - b a.
};

// The same bits for any number of threads.  Cost: 16 rows cols (rank + 8) operations.
LowRankFactors factorize(const RowSource& source, std::uint32_t rank, std::uint64_t seed,
                         ThreadPool& pool);

}  // namespace hearth::convert

// Cells of one row of the 5-point stencil.
//
// Each cell is the same expression wherever it lies: ((up + down) + (left + right)) / 4.  So
// results depend neither on vectors nor on how rows are handed out.
#pragma once

#include <cstdint>

#include "compute/builtin/isa/fetch_ahead.h"
#include "compute/builtin/isa/kernel_table.h"
#include "tensor/kernels/inline.h"

namespace hearth::compute {

template <class S>
HEARTH_INLINE typename S::V mean_of_four(typename S::V up, typename S::V down, typename S::V left,
                                         typename S::V right) {
  return S::mul(S::set1(0.25), S::add(S::add(up, down), S::add(left, right)));
}

template <class S>
void jacobi_cells(double* out, const double* up, const double* row, const double* down,
                  std::int64_t n, bool stream) {
  const auto whole = [&](std::int64_t j) __attribute__((always_inline)) {
    return mean_of_four<S>(S::load(up + j), S::load(down + j), S::load(row + j - 1),
                           S::load(row + j + 1));
  };
  const auto part = [&](std::int64_t j, std::int64_t count) __attribute__((always_inline)) {
    S::store_part(
        out + j, count,
        mean_of_four<S>(S::load_part(up + j, count), S::load_part(down + j, count),
                        S::load_part(row + j - 1, count), S::load_part(row + j + 1, count)));
  };
  std::int64_t j = 0;
  if (stream) {
    const auto address = reinterpret_cast<std::uintptr_t>(out);
    const auto skip = static_cast<std::int64_t>((0 - address) % 64 / sizeof(double));
    for (const std::int64_t head = skip < n ? skip : n; j < head;) {
      const std::int64_t count = head - j < S::kLanes ? head - j : S::kLanes;
      part(j, count);
      j += count;
    }
    for (; j + 8 <= n; j += 8) {
      fetch_ahead<64>(down + j);
#pragma GCC unroll 8
      for (std::int64_t v = 0; v < 8; v += S::kLanes) S::stream(out + j + v, whole(j + v));
    }
  }
  for (; j + S::kLanes <= n; j += S::kLanes) S::store(out + j, whole(j));
  if (j < n) part(j, n - j);
}

// One vector of each of the rows, to rows of `results`: each row of u is loaded once for the three
// that it is in.
template <class S, int kRows, int kResultStride>
HEARTH_INLINE void jacobi_columns(const double* u, std::int64_t stride, double* results) {
  typename S::V rows[kRows + 2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows + 2; ++r) rows[r] = S::load(u + (r - 1) * stride);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const double* const at = u + r * stride;
    S::store(results + r * kResultStride,
             mean_of_four<S>(rows[r], rows[r + 2], S::load(at - 1), S::load(at + 1)));
  }
}

// Row by row the second-level cache is read twice for each line that comes from memory, which took
// an AMD core (Zen 4) to half of the memory's speed; in rows of four, once in two.  Meanwhile the
// lines that the next four rows will read in these columns are fetched.  Results are collected
// before they are written: where rows are whole pages apart, each store would else look like what
// the next loads wait for, since both are told apart by the last twelve bits of their addresses.
template <class S>
void jacobi_rows(double* out, const double* u, std::int64_t stride, std::int64_t n) {
  constexpr int kLine = 8;
  constexpr int kColumns = 64;
  alignas(64) double results[kJacobiRows][kColumns];
  const auto skip =
      static_cast<std::int64_t>((0 - reinterpret_cast<std::uintptr_t>(out)) % 64 / sizeof(double));
  const std::int64_t head = skip < n ? skip : n;
  std::int64_t j = head;
  while (j + kLine <= n) {
    const std::int64_t left = (n - j) / kLine * kLine;
    const std::int64_t width = left < kColumns ? left : kColumns;
    for (std::int64_t k = 0; k < width; k += kLine) {
      const auto next = reinterpret_cast<std::uintptr_t>(u + j + k) +
                        static_cast<std::uintptr_t>((kJacobiRows + 1) * stride) * sizeof(double);
#pragma GCC unroll 4
      for (std::uintptr_t r = 0; r < kJacobiRows; ++r) {
        const std::uintptr_t row = next + r * static_cast<std::uintptr_t>(stride) * sizeof(double);
        __builtin_prefetch(reinterpret_cast<const void*>(row), 0, 2);
      }
#pragma GCC unroll 8
      for (std::int64_t v = 0; v < kLine; v += S::kLanes)
        jacobi_columns<S, kJacobiRows, kColumns>(u + j + k + v, stride, &results[0][k + v]);
    }
    for (int r = 0; r < kJacobiRows; ++r) {
      for (std::int64_t k = 0; k < width; k += S::kLanes)
        S::stream(out + r * stride + j + k, S::load(&results[r][k]));
    }
    j += width;
  }
  // Both ends, which are no whole lines.
  for (int r = 0; r < kJacobiRows; ++r) {
    const double* const row = u + r * stride;
    double* const to = out + r * stride;
    jacobi_cells<S>(to, row - stride, row, row + stride, head, false);
    jacobi_cells<S>(to + j, row - stride + j, row + j, row + stride + j, n - j, false);
  }
}

// Between sweeps all lies in the caches, and what counts is loads: each row is loaded once for the
// three that it is in, and its cells to the left and right come from the vectors beside, where an
// instruction set can do that faster than load what crosses a line.
template <class S, bool kStream>
HEARTH_INLINE std::int64_t jacobi_whole_block(double* const* out, const double* const* rows,
                                              std::int64_t n) {
  using V = typename S::V;
  std::int64_t j = 0;
  if (n < S::kLanes) return j;
  V before[kJacobiRows], here[kJacobiRows];
#pragma GCC unroll 8
  for (int r = 0; r < kJacobiRows; ++r) {
    before[r] = S::set1(rows[r + 1][-1]);
    here[r] = S::load(rows[r + 1]);
  }
  for (; j + S::kLanes <= n; j += S::kLanes) {
    V up = S::load(rows[0] + j);
#pragma GCC unroll 8
    for (int r = 0; r < kJacobiRows; ++r) {
      const double* const at = rows[r + 1] + j;
      const V down = r + 1 < kJacobiRows ? here[r + 1] : S::load(rows[kJacobiRows + 1] + j);
      const V after = S::load(at + S::kLanes);
      const V mean = mean_of_four<S>(up, down, S::left_of(at, before[r], here[r]),
                                     S::right_of(at, here[r], after));
      kStream ? S::stream(out[r] + j, mean) : S::store(out[r] + j, mean);
      up = here[r];
      before[r] = here[r];
      here[r] = after;
    }
  }
  return j;
}

template <class S>
void jacobi_block(double* const* out, const double* const* rows, std::int64_t n, bool stream) {
  const std::int64_t j = stream ? jacobi_whole_block<S, true>(out, rows, n)
                                : jacobi_whole_block<S, false>(out, rows, n);
  for (int r = 0; r < kJacobiRows && j < n; ++r)
    jacobi_cells<S>(out[r] + j, rows[r] + j, rows[r + 1] + j, rows[r + 2] + j, n - j, false);
}

// The neighbours of a cell have the other colour, so a vector may be computed from what lay there
// before the one to its left was stored: loads go ahead of stores that they would else wait for.
template <class S>
void sor_cells(double* row, const double* up, const double* down, const double* rhs, std::int64_t n,
               std::int64_t first, double omega) {
  using V = typename S::V;
  const V factor = S::set1(omega);
  const V minus_quarter = S::set1(-0.25);
  const auto relaxed = [&](V u, V d, V left, V right, V f, V here) __attribute__((always_inline)) {
    const V target = S::fma(minus_quarter, f, mean_of_four<S>(u, d, left, right));
    return S::fma(factor, S::sub(target, here), here);
  };
  const auto at = [&](std::int64_t j) __attribute__((always_inline)) {
    return relaxed(S::load(up + j), S::load(down + j), S::load(row + j - 1), S::load(row + j + 1),
                   S::load(rhs + j), S::load(row + j));
  };
  std::int64_t j = 0;
  if (S::kLanes <= n) {
    V next = at(0);
    for (bool more = true; more;) {
      const std::int64_t here = j;
      const V value = next;
      j += S::kLanes;
      more = j + S::kLanes <= n;
      if (more) next = at(j);
      S::store_parity(row + here, static_cast<int>((first + here) % 2), S::kLanes, value);
    }
  }
  if (const std::int64_t left = n - j; left > 0) {
    const V value = relaxed(S::load_part(up + j, left), S::load_part(down + j, left),
                            S::load_part(row + j - 1, left), S::load_part(row + j + 1, left),
                            S::load_part(rhs + j, left), S::load_part(row + j, left));
    S::store_parity(row + j, static_cast<int>((first + j) % 2), left, value);
  }
}

}  // namespace hearth::compute

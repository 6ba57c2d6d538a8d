// The inner loop of a product: a tile of sums in registers.
//
// Each sum is one chain over k, in order, of fused multiply-adds.  So its bits depend neither on
// the tile's shape nor on the instruction set, and packing changes nothing but addresses.
//
// Per step of k a tile of 8 x 3 vectors loads 3 vectors of b and 8 numbers of a for 24
// multiply-adds: eleven loads where the processor has time for 24, which leaves room for lines that
// come from the second-level cache.  Rows of a are read where they lie, each in order, so a needs
// no transposed copy; b is read in panels of so many columns.
#pragma once

#include <cstdint>

#include "compute/builtin/isa/fetch_ahead.h"
#include "compute/builtin/isa/kernel_table.h"
#include "tensor/kernels/inline.h"

namespace hearth::compute {

// Row `part` of c, and one of kParts parts of what is needed next.
template <int kParts, int kCols, class T>
HEARTH_INLINE void fetch_part(const GemmTile<T>& tile, int part) {
  constexpr int kLine = 64 / static_cast<int>(sizeof(T));
  const T* const row = tile.c + part * tile.c_stride;
  for (int col = 0; col < kCols; col += kLine) __builtin_prefetch(row + col, 1);
  __builtin_prefetch(row + kCols - 1, 1);  // Rows may begin anywhere in a line.
  for (std::int64_t i = tile.next_lines * part / kParts; i < tile.next_lines * (part + 1) / kParts;
       ++i) {
    __builtin_prefetch(tile.next + 64 * i, 0, 2);
  }
}

template <class S, int kRows, int kVectors>
void gemm_tile(const GemmTile<typename S::T>& tile) {
  using T = typename S::T;
  using V = typename S::V;
  constexpr int kLanes = S::kLanes;
  // Where there are fewer rows, the last one is computed more than once and stored once.
  const T* a[kRows];
  V sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    a[r] = r == 0 ? tile.a : a[r - 1] + (r < tile.n_rows ? tile.a_stride : 0);
    __builtin_prefetch(a[r] + kRows * tile.a_stride);  // Where the next tile begins.
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) sum[r][v] = S::zero();
  }

  const T* b = tile.b;
  const std::int64_t b_stride = tile.b_stride;
  std::int64_t k = 0;
  const auto multiply_until = [&](std::int64_t end) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (; k < end; ++k, b += b_stride) {
      V columns[kVectors];
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) columns[v] = S::load(b + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const V factor = S::set1(a[r][k]);
#pragma GCC unroll 3
        for (int v = 0; v < kVectors; ++v) sum[r][v] = S::fma(factor, columns[v], sum[r][v]);
      }
    }
  };
  if (tile.is_far) {
    // A part at a time: all at once would take the line buffers that loads of b need.
    for (int part = 0; part < kRows; ++part) {
      fetch_part<kRows, kVectors * kLanes>(tile, part);
      multiply_until(tile.k * (part + 1) / kRows);
    }
  } else {
    multiply_until(tile.k);
  }

  const std::int64_t last = tile.n_cols - (kVectors - 1) * kLanes;  // Columns of the last vector.
  T* c = tile.c;
  if (!tile.add && last == kLanes && tile.n_rows == kRows) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r, c += tile.c_stride) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) S::store(c + v * kLanes, sum[r][v]);
    }
    return;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r, c += tile.c_stride) {
    if (r >= tile.n_rows) break;
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      T* const at = c + v * kLanes;
      if (v + 1 < kVectors || last == kLanes) {
        S::store(at, tile.add ? S::add(S::load(at), sum[r][v]) : sum[r][v]);
      } else {
        S::store_part(at, last, tile.add ? S::add(S::load_part(at, last), sum[r][v]) : sum[r][v]);
      }
    }
  }
}

HEARTH_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
HEARTH_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

// One row-times-vector product per row of a, for up to kRows rows that share the loads of x.
//
// 64 bytes of virtual lanes, four times: the same sums in the same places on all instruction sets,
// added together in one order at the end.
template <class S, int kRows>
HEARTH_INLINE void gemv_rows(const typename S::T* a, std::int64_t a_stride, const typename S::T* x,
                             std::int64_t n, typename S::T* out) {
  using T = typename S::T;
  using V = typename S::V;
  constexpr int kLineLanes = 64 / static_cast<int>(sizeof(T));
  constexpr int kVectors = kLineLanes / S::kLanes;  // Of a line.
  constexpr int kLines = 2;
  V sum[kRows][kLines * kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kLines * kVectors; ++v) sum[r][v] = S::zero();
  }
  const std::int64_t whole = n / (kLines * kLineLanes) * (kLines * kLineLanes);
  for (std::int64_t k = 0; k < whole; k += kLines * kLineLanes) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) fetch_ahead<64 * kLines>(a + r * a_stride + k);
#pragma GCC unroll 16
    for (int v = 0; v < kLines * kVectors; ++v) {
      const V factor = S::load(x + k + v * S::kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        sum[r][v] = S::fma(S::load(a + r * a_stride + k + v * S::kLanes), factor, sum[r][v]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    T lanes[kLines * kLineLanes];
    for (int v = 0; v < kLines * kVectors; ++v) S::store(lanes + v * S::kLanes, sum[r][v]);
    for (std::int64_t k = whole; k < n; ++k) {
      lanes[k - whole] = fused(a[r * a_stride + k], x[k], lanes[k - whole]);
    }
    for (int width = kLines * kLineLanes / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    }
    out[r] = lanes[0];
  }
}

template <class S>
void gemv(const typename S::T* a, std::int64_t a_stride, const typename S::T* x, std::int64_t n,
          std::int64_t n_rows, typename S::T* out) {
  constexpr int kRows = S::kTileRows / 2;  // As many sums as registers hold.
  std::int64_t row = 0;
  for (; row + kRows <= n_rows; row += kRows) {
    gemv_rows<S, kRows>(a + row * a_stride, a_stride, x, n, out + row);
  }
  for (; row < n_rows; ++row) gemv_rows<S, 1>(a + row * a_stride, a_stride, x, n, out + row);
}

}  // namespace hearth::compute

// Panels of a PanelStream (panel_stream.h) times some rows of activations.
//
// The 16 lanes are the panel's outputs.  Each row sums a group's inputs of even and of odd number
// apart, so that two products are under way; rows are taken four at a time and each weight is
// widened once for them.  Where a matrix is folded into parts, an input is one of each part, and
// each output's sums are added in the parts' order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/kernels/inline.h"
#include "tensor/kernels/prefetch.h"
#include "tensor/panel_stream.h"

namespace hearth::tensor {

struct StreamProduct {
  const std::byte* panel = nullptr;  // The first of n_panels,
  std::size_t panel_bytes = 0;       // each so large.
  std::uint32_t n_panels = 0;
  std::uint32_t cols = 0;  // Of a lane: a part's.
  const StreamRow* rows = nullptr;
  std::size_t n_rows = 0;
  std::uint32_t y_first = 0;  // Where the first panel's outputs are in y,
  std::uint32_t y_end = 0;    // and where the matrix's end.
  bool adds = false;
};
using StreamProductFn = void (*)(const StreamProduct& product);

// One for each instruction set, in stream_<isa>.cpp.
StreamProductFn stream_product_scalar(StreamType type, std::uint32_t parts);
StreamProductFn stream_product_avx2(StreamType type, std::uint32_t parts);
StreamProductFn stream_product_avx512(StreamType type, std::uint32_t parts);

template <class S>
struct HalfWeights {
  static constexpr std::size_t kBytes = 2;
  static constexpr std::size_t kScaleBytes = 0;
  HEARTH_INLINE static typename S::F load(const std::byte* p) { return S::load_f16(p); }
  HEARTH_INLINE static typename S::F add_scaled(const std::byte*, typename S::F sum,
                                                typename S::F total) {
    return S::add(total, sum);
  }
};
template <class S>
struct Int8Weights {
  static constexpr std::size_t kBytes = 1;
  static constexpr std::size_t kScaleBytes = kStreamPanelRows * sizeof(F16);
  HEARTH_INLINE static typename S::F load(const std::byte* p) { return S::to_float(S::load_i8(p)); }
  HEARTH_INLINE static typename S::F add_scaled(const std::byte* scales, typename S::F sum,
                                                typename S::F total) {
    return S::fma(S::load_f16(scales), sum, total);
  }
};

template <class S, class Weights, std::uint32_t kParts>
struct StreamRows {
  using F = typename S::F;
  static constexpr std::uint32_t kLanes = kStreamPanelRows;
  static constexpr std::uint32_t kOutputs = kLanes / kParts;
  // How far ahead memory is asked for: some panels, over the ends of matrices, since what follows
  // in memory is what is needed next.
  static constexpr std::size_t kAheadBytes = 4096;

  // Input `at` of each part, the parts `part_cols` apart, for their lanes.
  HEARTH_INLINE static F input(const float* x, std::uint32_t at, std::uint32_t part_cols) {
    if constexpr (kParts == 1) {
      return S::set1_f(x[at]);
    } else {
      return S::template set_parts_f<kParts>(x + at, part_cols);
    }
  }

  // total[r] += weights of one group * x of row r.
  template <std::uint32_t kRows>
  HEARTH_INLINE static void add_group(const std::byte* group, const float* const* x,
                                      std::uint32_t col, std::uint32_t n, std::uint32_t part_cols,
                                      F* total) {
    F sum[kRows][2];
#pragma GCC unroll 4
    for (std::uint32_t r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = S::set1_f(0.0F);
    const std::byte* at = group + Weights::kScaleBytes;
    const std::size_t bytes = Weights::kScaleBytes + n * kLanes * Weights::kBytes;
    for (std::size_t line = 0; line < bytes; line += kLineBytes) {
      const auto ahead = reinterpret_cast<std::uintptr_t>(group) + kAheadBytes + line;
      __builtin_prefetch(reinterpret_cast<const void*>(ahead), 0, 2);
    }
    std::uint32_t k = 0;
    for (; k + 2 <= n; k += 2, at += 2 * kLanes * Weights::kBytes) {
      const F even = Weights::load(at);
      const F odd = Weights::load(at + kLanes * Weights::kBytes);
#pragma GCC unroll 4
      for (std::uint32_t r = 0; r < kRows; ++r) {
        sum[r][0] = S::fma(even, input(x[r], col + k, part_cols), sum[r][0]);
        sum[r][1] = S::fma(odd, input(x[r], col + k + 1, part_cols), sum[r][1]);
      }
    }
    if (k < n) {
      const F last = Weights::load(at);
#pragma GCC unroll 4
      for (std::uint32_t r = 0; r < kRows; ++r) {
        sum[r][0] = S::fma(last, input(x[r], col + k, part_cols), sum[r][0]);
      }
    }
#pragma GCC unroll 4
    for (std::uint32_t r = 0; r < kRows; ++r) {
      total[r] = Weights::add_scaled(group, S::add(sum[r][0], sum[r][1]), total[r]);
    }
  }

  // In the first part's lanes.
  HEARTH_INLINE static F sum_of_parts(F total) {
    alignas(64) float lanes[kLanes];
    S::store_f(lanes, total);
    for (std::uint32_t part = 1; part < kParts; ++part) {
      for (std::uint32_t i = 0; i < kOutputs; ++i) lanes[i] += lanes[part * kOutputs + i];
    }
    return S::load_f(lanes);
  }

  template <std::uint32_t kRows>
  HEARTH_INLINE static void some_rows(const StreamProduct& p, const std::byte* panel,
                                      std::uint32_t y_first, std::size_t row) {
    const std::uint32_t left = p.y_end - y_first;
    const std::uint32_t n_outputs = left < kOutputs ? left : kOutputs;
    const float* x[kRows];
    F total[kRows];
    for (std::uint32_t r = 0; r < kRows; ++r) {
      x[r] = p.rows[row + r].x;
      const float* const y = p.rows[row + r].y + y_first;
      total[r] = !p.adds               ? S::set1_f(0.0F)
                 : n_outputs == kLanes ? S::load_f(y)
                                       : S::load_f_part(y, n_outputs);
    }
    const std::byte* at = panel;
    for (std::uint32_t col = 0; col < p.cols; col += kStreamGroupCols) {
      const std::uint32_t n = p.cols - col < kStreamGroupCols ? p.cols - col : kStreamGroupCols;
      add_group<kRows>(at, x, col, n, p.cols, total);
      at += Weights::kScaleBytes + n * kLanes * Weights::kBytes;
    }
    for (std::uint32_t r = 0; r < kRows; ++r) {
      float* const y = p.rows[row + r].y + y_first;
      if constexpr (kParts > 1) total[r] = sum_of_parts(total[r]);
      if (n_outputs == kLanes) {
        S::store_f(y, total[r]);
      } else {
        S::store_f_part(y, n_outputs, total[r]);
      }
    }
  }

  static void run(const StreamProduct& p) {
    for (std::uint32_t i = 0; i < p.n_panels; ++i) {
      const std::byte* const panel = p.panel + i * p.panel_bytes;
      const std::uint32_t y_first = p.y_first + i * kLanes;
      std::size_t row = 0;
      for (; row + 4 <= p.n_rows; row += 4) some_rows<4>(p, panel, y_first, row);
      for (; row < p.n_rows; ++row) some_rows<1>(p, panel, y_first, row);
    }
  }
};

template <class S, class Weights>
StreamProductFn find_stream_product(std::uint32_t parts) {
  if (parts == 4) return StreamRows<S, Weights, 4>::run;
  return parts == 2 ? StreamRows<S, Weights, 2>::run : StreamRows<S, Weights, 1>::run;
}

template <class S>
StreamProductFn find_stream_product(StreamType type, std::uint32_t parts) {
  return type == StreamType::kInt8 ? find_stream_product<S, Int8Weights<S>>(parts)
                                   : find_stream_product<S, HalfWeights<S>>(parts);
}

}  // namespace hearth::tensor

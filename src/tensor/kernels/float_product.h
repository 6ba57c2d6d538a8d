// The float product: rows of F32, F16 or BF16 weights times float activations.
//
// Lane i of an accumulator sums the columns that are i modulo 16, in order, with fused operations;
// the lanes are added at the end in the order of Simd::sum.  Cutting the columns into chunks does
// not change that, since a chunk goes on from the accumulators of the one before.
//
// With few tokens the stored rows are read as they are, once, and the next ones are prefetched.
// With many, columns are taken in chunks that fit the first-level cache: 8 rows of a chunk are
// widened to floats and serve all tokens, whose part of the chunk stays in the second level; the
// accumulators are kept in memory meanwhile.
//
// BF16 does not use vdpbf16ps: it would round the activations to 8 bits, and where it was measured
// (Emerald Rapids) it does half of the operations a second that plain FMA does.
#pragma once

#include "tensor/kernels/inline.h"
#include "tensor/kernels/kernels.h"

namespace hearth::tensor {

template <class S>
struct FromF32 {
  static constexpr std::size_t kBytes = 4;
  HEARTH_INLINE static typename S::F load(const std::byte* p) {
    return S::load_f(reinterpret_cast<const float*>(p));
  }
};
template <class S>
struct FromF16 {
  static constexpr std::size_t kBytes = 2;
  HEARTH_INLINE static typename S::F load(const std::byte* p) { return S::load_f16(p); }
};
template <class S>
struct FromBF16 {
  static constexpr std::size_t kBytes = 2;
  HEARTH_INLINE static typename S::F load(const std::byte* p) { return S::load_bf16(p); }
};

template <class S, class From>
struct FloatRows {
  using F = typename S::F;
  static constexpr std::uint32_t kLanes = 16;
  template <std::uint32_t kRows, std::uint32_t kTokens>
  using Sums = F[kTokens][kRows];

  // 16 columns from `col`, zero beyond the row's end.
  HEARTH_INLINE static F tail(const std::byte* row, std::uint32_t col, std::uint32_t cols) {
    alignas(64) std::byte buffer[kLanes * From::kBytes] = {};
    __builtin_memcpy(buffer, row + col * From::kBytes, (cols - col) * From::kBytes);
    return From::load(buffer);
  }

  // sum[t][r] += row r * x of token t, over `cols` columns, a multiple of 16.
  template <class Source, bool kPrefetch, std::uint32_t kRows, std::uint32_t kTokens>
  HEARTH_INLINE static void accumulate(const std::byte* w, std::size_t row_stride, const float* x,
                                       std::size_t x_stride, std::uint32_t cols,
                                       Sums<kRows, kTokens>& sum) {
    for (std::uint32_t col = 0; col < cols; col += kLanes) {
      F a[kTokens];
#pragma GCC unroll 8
      for (std::uint32_t t = 0; t < kTokens; ++t) a[t] = S::load_f(x + t * x_stride + col);
#pragma GCC unroll 8
      for (std::uint32_t r = 0; r < kRows; ++r) {
        const std::byte* at = w + r * row_stride + col * Source::kBytes;
        const F row = Source::load(at);
        if constexpr (kPrefetch) {
          const auto next = reinterpret_cast<std::uintptr_t>(at) + kRows * row_stride;
          __builtin_prefetch(reinterpret_cast<const void*>(next), 0, 2);
        }
#pragma GCC unroll 8
        for (std::uint32_t t = 0; t < kTokens; ++t) sum[t][r] = S::fma(row, a[t], sum[t][r]);
      }
    }
  }

  template <std::uint32_t kRows, std::uint32_t kTokens>
  HEARTH_INLINE static void clear(Sums<kRows, kTokens>& sum) {
#pragma GCC unroll 8
    for (std::uint32_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 8
      for (std::uint32_t r = 0; r < kRows; ++r) sum[t][r] = S::set1_f(0.0F);
    }
  }

  // Few tokens: whole rows at once.
  template <std::uint32_t kRows, std::uint32_t kTokens>
  static void whole_rows(const FloatProduct& p, std::uint32_t row, std::uint32_t token) {
    const std::byte* w = p.w + row * p.row_stride;
    const float* x = p.x + token * p.x_stride;
    const std::uint32_t whole = p.cols / kLanes * kLanes;
    Sums<kRows, kTokens> sum;
    clear<kRows, kTokens>(sum);
    accumulate<From, true, kRows, kTokens>(w, p.row_stride, x, p.x_stride, whole, sum);
    if (whole < p.cols) {
#pragma GCC unroll 8
      for (std::uint32_t r = 0; r < kRows; ++r) {
        const F last = tail(w + r * p.row_stride, whole, p.cols);
#pragma GCC unroll 8
        for (std::uint32_t t = 0; t < kTokens; ++t) {
          sum[t][r] = S::fma(last, S::load_f(x + t * p.x_stride + whole), sum[t][r]);
        }
      }
    }
#pragma GCC unroll 8
    for (std::uint32_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 8
      for (std::uint32_t r = 0; r < kRows; ++r) {
        p.y[(token + t) * p.y_stride + row + r] = S::sum(sum[t][r]);
      }
    }
  }

  template <std::uint32_t kRows>
  static void few_tokens(const FloatProduct& p, std::uint32_t row) {
    std::uint32_t token = 0;
    for (; token + S::kDotTokens <= p.n_tokens; token += S::kDotTokens) {
      whole_rows<kRows, S::kDotTokens>(p, row, token);
    }
    for (; token < p.n_tokens; ++token) whole_rows<kRows, 1>(p, row, token);
  }

  // Many tokens: one chunk of columns of kRows widened rows, `sums` [n_tokens, kDotTaskRows] of 16
  // lanes each.
  template <std::uint32_t kRows, std::uint32_t kTokens>
  HEARTH_INLINE static void add_chunk(const float* w, const float* x, std::size_t x_stride,
                                      std::uint32_t cols, float* sums) {
    constexpr std::size_t kTokenSums = std::size_t{kDotTaskRows} * kLanes;
    Sums<kRows, kTokens> sum;
#pragma GCC unroll 8
    for (std::uint32_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 8
      for (std::uint32_t r = 0; r < kRows; ++r) {
        sum[t][r] = S::load_f(sums + t * kTokenSums + r * kLanes);
      }
    }
    accumulate<FromF32<S>, false, kRows, kTokens>(reinterpret_cast<const std::byte*>(w),
                                                  kDotChunkCols * sizeof(float), x, x_stride, cols,
                                                  sum);
#pragma GCC unroll 8
    for (std::uint32_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 8
      for (std::uint32_t r = 0; r < kRows; ++r) {
        S::store_f(sums + t * kTokenSums + r * kLanes, sum[t][r]);
      }
    }
  }

  // Widens columns [col, col + n) of kRows rows, zero beyond the row's end.
  template <std::uint32_t kRows>
  static void widen(const FloatProduct& p, std::uint32_t row, std::uint32_t col, std::uint32_t n,
                    float* out) {
    for (std::uint32_t r = 0; r < kRows; ++r, out += kDotChunkCols) {
      const std::byte* w = p.w + (row + r) * p.row_stride;
      for (std::uint32_t i = 0; i < n; i += kLanes) {
        const bool whole = col + i + kLanes <= p.cols;
        S::store_f(out + i,
                   whole ? From::load(w + (col + i) * From::kBytes) : tail(w, col + i, p.cols));
      }
    }
  }

  template <std::uint32_t kRows>
  static void chunk_of_rows(const FloatProduct& p, std::uint32_t row, std::uint32_t col,
                            std::uint32_t n, std::uint32_t token_begin, std::uint32_t n_tokens) {
    float* const wide = p.scratch;
    float* sums = p.scratch + kDotRowsMax * kDotChunkCols + row * kLanes;
    const float* x = p.x + token_begin * p.x_stride + col;
    widen<kRows>(p, row, col, n, wide);
    std::uint32_t token = 0;
    for (; token + S::kDotTokens <= n_tokens; token += S::kDotTokens) {
      add_chunk<kRows, S::kDotTokens>(wide, x + token * p.x_stride, p.x_stride, n,
                                      sums + std::size_t{token} * kDotTaskRows * kLanes);
    }
    for (; token < n_tokens; ++token) {
      add_chunk<kRows, 1>(wide, x + token * p.x_stride, p.x_stride, n,
                          sums + std::size_t{token} * kDotTaskRows * kLanes);
    }
  }

  static void many_tokens(const FloatProduct& p, std::uint32_t token_begin,
                          std::uint32_t n_tokens) {
    float* const sums = p.scratch + kDotRowsMax * kDotChunkCols;
    const std::size_t n_sums = std::size_t{n_tokens} * kDotTaskRows;
    for (std::size_t i = 0; i < n_sums; ++i) S::store_f(sums + i * kLanes, S::set1_f(0.0F));
    for (std::uint32_t col = 0; col < p.cols; col += kDotChunkCols) {
      const std::uint32_t left = (p.cols - col + kLanes - 1) / kLanes * kLanes;
      const std::uint32_t n = left < kDotChunkCols ? left : kDotChunkCols;
      std::uint32_t row = 0;
      for (; row + S::kDotRows <= p.n_rows; row += S::kDotRows) {
        chunk_of_rows<S::kDotRows>(p, row, col, n, token_begin, n_tokens);
      }
      for (; row < p.n_rows; ++row) chunk_of_rows<1>(p, row, col, n, token_begin, n_tokens);
    }
    for (std::uint32_t t = 0; t < n_tokens; ++t) {
      float* y = p.y + (token_begin + t) * p.y_stride;
      const float* token_sums = sums + std::size_t{t} * kDotTaskRows * kLanes;
      std::uint32_t row = 0;
      for (; row + 16 <= p.n_rows; row += 16)
        S::store_f(y + row, S::sum16(token_sums + row * kLanes));
      for (; row < p.n_rows; ++row) y[row] = S::sum(S::load_f(token_sums + row * kLanes));
    }
  }

  static void run(const FloatProduct& p) {
    if (p.n_tokens <= kDotFewTokens) {
      std::uint32_t row = 0;
      for (; row + S::kDotRows <= p.n_rows; row += S::kDotRows) few_tokens<S::kDotRows>(p, row);
      for (; row < p.n_rows; ++row) few_tokens<1>(p, row);
      return;
    }
    for (std::uint32_t token = 0; token < p.n_tokens; token += kDotTaskTokens) {
      const std::uint32_t left = p.n_tokens - token;
      many_tokens(p, token, left < kDotTaskTokens ? left : kDotTaskTokens);
    }
  }
};

}  // namespace hearth::tensor

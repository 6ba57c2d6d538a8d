// Attention of up to kAttentionRowsMax rows over one page, written once for every
// instruction set as a template on tensor/kernels' Simd types (sixteen float lanes).
//
// Lanes never cross: scores put a page's 32 positions in the lanes and walk the head's
// dimensions, the weighted sum puts dimensions in the lanes and walks the positions.  Both
// are then chains of multiply-adds, one chain per result, always in the same order, so that
// a row gives the same bits alone, in a tile, and on any instruction set.  That is why keys
// lie transposed in a page (kv_layout.h).
//
// A few rows (decode) are bound by reading the page: halves are widened as they are loaded.
// Many rows (prefill) are bound by arithmetic: the page is widened once into `tile`, and
// blocks of rows share each load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/attention.h"
#include "tensor/float_formats.h"
#include "tensor/isa.h"
#include "tensor/kernels/inline.h"

namespace hearth::model {

// What a row has seen so far.
struct AttentionState {
  float max;
  float sum;
};

// One page's part of the work.
struct AttentionPage {
  const AttentionRow* rows;  // [n_rows], each sees at least one of the page's positions.
  AttentionState* states;    // [n_rows]
  std::uint32_t n_rows;
  std::uint32_t start;  // Position of the page's first slot.
  std::uint32_t head_dim;
  AttentionScale scale;
  const tensor::F16* keys;    // [head_dim, kPageTokens]
  const tensor::F16* values;  // [kPageTokens, head_dim]
  float* tile;                // Scratch [2, kPageTokens * head_dim]
};

using AttendPage = void (*)(const AttentionPage& page);

// One per instruction set, each in a file of its own that is compiled for it.
void attend_page_scalar(const AttentionPage& page);
void attend_page_avx2(const AttentionPage& page);
void attend_page_avx512(const AttentionPage& page);

// `attend` (attention.h) with a chosen kernel: for tests.
void attend_with(AttendPage attend_page, std::span<const AttentionRow> rows,
                 const AttentionHead& head, const AttentionScale& scale);
AttendPage attend_page_for(tensor::Isa isa);

// The shortest row block for which widening the page first pays.
inline constexpr std::uint32_t kWidenRowsMin = 12;

template <class Simd, std::uint32_t kScoreRows, std::uint32_t kValueRows>
struct AttentionKernel {
  using F = typename Simd::F;
  static constexpr std::uint32_t kLanes = 16;
  static constexpr std::uint32_t kColsMax = 4;  // Vectors of one value block.
  static_assert(kPageTokens == 2 * kLanes);

  struct Halves {
    const tensor::F16* p;
    HEARTH_INLINE F load(std::size_t at) const { return Simd::load_f16(p + at); }
  };
  struct Floats {
    const float* p;
    HEARTH_INLINE F load(std::size_t at) const { return Simd::load_f(p + at); }
  };

  // exp(x) for x <= 0 within 2 units in the last place; below -87 (and for -inf) 0.
  // Cephes' expf: x = n ln 2 + r, a polynomial for exp(r), and n added to the exponent.
  HEARTH_INLINE static F exp_negative(F x) {
    const F clamped = Simd::max(x, Simd::set1_f(-87.0F));
    const auto n = Simd::to_int(Simd::mul(clamped, Simd::set1_f(1.44269504F)));
    const F n_float = Simd::to_float(n);
    F r = Simd::fma(n_float, Simd::set1_f(-0.693359375F), clamped);
    r = Simd::fma(n_float, Simd::set1_f(2.12194440e-4F), r);
    F p = Simd::set1_f(1.9875691500e-4F);
    p = Simd::fma(p, r, Simd::set1_f(1.3981999507e-3F));
    p = Simd::fma(p, r, Simd::set1_f(8.3334519073e-3F));
    p = Simd::fma(p, r, Simd::set1_f(4.1665795894e-2F));
    p = Simd::fma(p, r, Simd::set1_f(1.6666665459e-1F));
    p = Simd::fma(p, r, Simd::set1_f(5.0000001201e-1F));
    p = Simd::fma(p, Simd::mul(r, r), Simd::add(r, Simd::set1_f(1.0F)));
    const F power = Simd::as_float(Simd::template shl<23>(Simd::add32(n, Simd::set1(127))));
    return Simd::zero_if_less(Simd::mul(p, power), x, Simd::set1_f(-87.0F));
  }

  // weights [kRows, kPageTokens] = query · keys.
  template <std::uint32_t kRows, class Keys>
  HEARTH_INLINE static void score_block(const AttentionRow* rows, Keys keys, std::uint32_t head_dim,
                                        float* weights) {
    F sums[kRows][2];
    for (auto& sum : sums) sum[0] = sum[1] = Simd::set1_f(0.0F);
    for (std::size_t d = 0; d < head_dim; ++d) {
      const F low = keys.load(d * kPageTokens);
      const F high = keys.load(d * kPageTokens + kLanes);
      for (std::uint32_t r = 0; r < kRows; ++r) {
        const F q = Simd::set1_f(rows[r].query[d]);
        sums[r][0] = Simd::fma(q, low, sums[r][0]);
        sums[r][1] = Simd::fma(q, high, sums[r][1]);
      }
    }
    for (std::uint32_t r = 0; r < kRows; ++r) {
      Simd::store_f(weights + r * kPageTokens, sums[r][0]);
      Simd::store_f(weights + r * kPageTokens + kLanes, sums[r][1]);
    }
  }

  // Blocks of kRows rows, then what is left in blocks of half that, and so on.
  template <std::uint32_t kRows, class Keys>
  static void score(const AttentionPage& page, Keys keys, std::uint32_t r, float* weights) {
    for (; r + kRows <= page.n_rows; r += kRows) {
      score_block<kRows>(page.rows + r, keys, page.head_dim, weights + r * kPageTokens);
    }
    if constexpr (kRows > 1) score<kRows / 2>(page, keys, r, weights);
  }

  // Scales the scores of a row to the page's maximum so far and turns them into weights: 0 for
  // positions that the row may not see.
  HEARTH_INLINE static void weigh_row(const AttentionRow& row, AttentionState& state,
                                      std::uint32_t start, std::uint32_t head_dim,
                                      const AttentionScale& scale, float* weights) {
    F low = Simd::mul(Simd::load_f(weights), Simd::set1_f(scale.factor));
    F high = Simd::mul(Simd::load_f(weights + kLanes), Simd::set1_f(scale.factor));
    if (scale.softcap > 0.0F) {
      low = cap(low, scale.softcap);
      high = cap(high, scale.softcap);
    }
    const std::uint32_t end = row.n_visible - start;
    const std::uint32_t begin = row.first_visible > start ? row.first_visible - start : 0;
    if (end < kPageTokens || begin > 0) {
      low = hide(low, begin, end, 0);
      high = hide(high, begin, end, kLanes);
    }
    const float page_max = Simd::max_lane(Simd::max(low, high));
    if (page_max > state.max) {
      shrink_row(row, state, page_max, head_dim);
      state.max = page_max;
    }
    const F max = Simd::set1_f(state.max);
    low = exp_negative(Simd::sub(low, max));
    high = exp_negative(Simd::sub(high, max));
    state.sum += Simd::sum(Simd::add(low, high));
    Simd::store_f(weights, low);
    Simd::store_f(weights + kLanes, high);
  }

  // c * tanh(x / c), by tanh(|t|) = (1 - e) / (1 + e) with e = exp(-2 |t|).
  HEARTH_INLINE static F cap(F x, float c) {
    const auto sign = Simd::bit_and(Simd::as_bits(x), Simd::set1(0x8000'0000U));
    const F negative = Simd::as_float(Simd::bit_or(Simd::as_bits(x), Simd::set1(0x8000'0000U)));
    const F e = exp_negative(Simd::mul(negative, Simd::set1_f(2.0F / c)));
    const F one = Simd::set1_f(1.0F);
    const F size = Simd::mul(Simd::div(Simd::sub(one, e), Simd::add(one, e)), Simd::set1_f(c));
    return Simd::as_float(Simd::bit_or(Simd::as_bits(size), sign));
  }

  // -inf in the lanes of positions outside of [begin, end), whatever was there: a slot that nobody
  // has written may hold any bits.
  HEARTH_INLINE static F hide(F scores, std::uint32_t begin, std::uint32_t end,
                              std::uint32_t first) {
    constexpr float kHidden = -__builtin_inff();
    float bias[kLanes];
    for (std::uint32_t i = 0; i < kLanes; ++i) {
      bias[i] = first + i >= begin && first + i < end ? 0.0F : kHidden;
    }
    const F mask = Simd::load_f(bias);
    return Simd::add(Simd::zero_if_less(scores, mask, Simd::set1_f(0.0F)), mask);
  }

  // The maximum has grown: what was summed under the old one is rescaled.
  HEARTH_INLINE static void shrink_row(const AttentionRow& row, AttentionState& state,
                                       float new_max, std::uint32_t head_dim) {
    float factors[kLanes];
    Simd::store_f(factors, exp_negative(Simd::set1_f(state.max - new_max)));
    state.sum *= factors[0];
    const F factor = Simd::load_f(factors);
    for (std::uint32_t d = 0; d < head_dim; d += kLanes) {
      Simd::store_f(row.out + d, Simd::mul(Simd::load_f(row.out + d), factor));
    }
  }

  // out [kRows, 16 kCols] += weights · values over the first n_slots positions.
  template <std::uint32_t kRows, std::uint32_t kCols, class Values>
  HEARTH_INLINE static void value_block(const AttentionRow* rows, Values values, std::uint32_t col,
                                        std::uint32_t head_dim, std::uint32_t n_slots,
                                        const float* weights) {
    F sums[kRows][kCols];
    for (std::uint32_t r = 0; r < kRows; ++r) {
      for (std::uint32_t c = 0; c < kCols; ++c) {
        sums[r][c] = Simd::load_f(rows[r].out + col + c * kLanes);
      }
    }
    for (std::size_t t = 0; t < n_slots; ++t) {
      F value[kCols];
      for (std::uint32_t c = 0; c < kCols; ++c) {
        value[c] = values.load(t * head_dim + col + c * kLanes);
      }
      for (std::uint32_t r = 0; r < kRows; ++r) {
        const F weight = Simd::set1_f(weights[r * kPageTokens + t]);
        for (std::uint32_t c = 0; c < kCols; ++c) {
          sums[r][c] = Simd::fma(weight, value[c], sums[r][c]);
        }
      }
    }
    for (std::uint32_t r = 0; r < kRows; ++r) {
      for (std::uint32_t c = 0; c < kCols; ++c) {
        Simd::store_f(rows[r].out + col + c * kLanes, sums[r][c]);
      }
    }
  }

  template <std::uint32_t kRows, class Values>
  HEARTH_INLINE static void value_rows(const AttentionRow* rows, Values values,
                                       std::uint32_t head_dim, std::uint32_t n_slots,
                                       const float* weights) {
    std::uint32_t col = 0;
    for (; col + kColsMax * kLanes <= head_dim; col += kColsMax * kLanes) {
      value_block<kRows, kColsMax>(rows, values, col, head_dim, n_slots, weights);
    }
    for (; col < head_dim; col += kLanes) {
      value_block<kRows, 1>(rows, values, col, head_dim, n_slots, weights);
    }
  }

  template <std::uint32_t kRows, class Values>
  static void add_values(const AttentionPage& page, Values values, std::uint32_t r,
                         std::uint32_t n_slots, const float* weights) {
    for (; r + kRows <= page.n_rows; r += kRows) {
      value_rows<kRows>(page.rows + r, values, page.head_dim, n_slots, weights + r * kPageTokens);
    }
    if constexpr (kRows > 1) add_values<kRows / 2>(page, values, r, n_slots, weights);
  }

  template <class Matrix>
  static void attend(const AttentionPage& page, Matrix keys, Matrix values) {
    alignas(64) float weights[kAttentionRowsMax * kPageTokens];
    score<kScoreRows>(page, keys, 0, weights);
    for (std::uint32_t r = 0; r < page.n_rows; ++r) {
      weigh_row(page.rows[r], page.states[r], page.start, page.head_dim, page.scale,
                weights + r * kPageTokens);
    }
    // Slots past what the last row sees may be unwritten, and 0 times any bits may be NaN.
    const std::uint32_t visible = page.rows[page.n_rows - 1].n_visible - page.start;
    const std::uint32_t n_slots = visible < kPageTokens ? visible : kPageTokens;
    add_values<kValueRows>(page, values, 0, n_slots, weights);
  }

  static void widen(const tensor::F16* from, std::size_t n, float* to) {
    for (std::size_t i = 0; i < n; i += kLanes) Simd::store_f(to + i, Simd::load_f16(from + i));
  }

  static void attend_page(const AttentionPage& page) {
    if (page.n_rows < kWidenRowsMin) {
      attend(page, Halves{page.keys}, Halves{page.values});
      return;
    }
    const std::size_t n = std::size_t{kPageTokens} * page.head_dim;
    widen(page.keys, n, page.tile);
    widen(page.values, n, page.tile + n);
    attend(page, Floats{page.tile}, Floats{page.tile + n});
  }
};

}  // namespace hearth::model

// Attention of up to kAttentionRowsMax rows over one page, written once for every
// instruction set as a template on tensor/kernels' Simd types (sixteen float lanes).
//
// Lanes never cross: scores put a page's 32 positions in the lanes and walk the head's
// dimensions, the weighted sum puts dimensions in the lanes and walks the positions.  Both
// are then chains of multiply-adds, one chain per result, always in the same order, so that
// a row gives the same bits alone, in a tile, and on any instruction set.  That is why keys
// lie transposed in a page (kv_layout.h).
//
// A few rows (decode) are bound by reading the page: numbers are widened as they are loaded.
// Many rows (prefill) are bound by arithmetic: the page is widened once into `tile`, and
// blocks of rows share each load.  A code times its scale is exact in float, so that both
// ways, and a twin in double, see the same keys and values.
//
// What differs between the types of a page is how two rows of keys (dimensions d and d + 1), or a
// few vectors of a token's values, are loaded: one small class each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/attention.h"
#include "model/kv_layout.h"
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
  KvType type;
  const std::byte* keys;            // Blocks as kv_layout.h describes them.
  const std::byte* values;
  const tensor::F16* key_scales;    // [n_groups, kPageTokens]; of quantised types.
  const tensor::F16* value_scales;
  float* tile;                      // Scratch [2, kPageTokens * head_dim],
  float* wide_scales;               // and [n_groups, kPageTokens].
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

  // Dimensions d and d + 1 of the page's positions, as [2 dimensions][2 vectors].
  using KeyPair = F[2][2];

  struct FloatKeys {
    const float* p;
    HEARTH_INLINE void enter(std::uint32_t) {}
    HEARTH_INLINE void load(std::size_t d, KeyPair& out) const {
      for (std::size_t i = 0; i < 4; ++i) {
        out[i / 2][i % 2] = Simd::load_f(p + d * kPageTokens + i * kLanes);
      }
    }
  };
  struct HalfKeys {
    const tensor::F16* p;
    HEARTH_INLINE void enter(std::uint32_t) {}
    HEARTH_INLINE void load(std::size_t d, KeyPair& out) const {
      for (std::size_t i = 0; i < 4; ++i) {
        out[i / 2][i % 2] = Simd::load_f16(p + d * kPageTokens + i * kLanes);
      }
    }
  };
  // (code - zero) * scale as one multiply-add: codes are stored from 0 on.
  struct CodedKeys {
    const std::byte* p;
    const tensor::F16* scales;
    float zero;
    F scale[2];
    F offset[2];
    // Called before a group's dimensions are loaded.
    HEARTH_INLINE void enter(std::uint32_t group) {
      for (std::size_t i = 0; i < 2; ++i) {
        scale[i] = Simd::load_f16(scales + group * kPageTokens + i * kLanes);
        offset[i] = Simd::mul(scale[i], Simd::set1_f(-zero));
      }
    }
    HEARTH_INLINE F number(typename Simd::I code, std::size_t i) const {
      return Simd::fma(Simd::to_float(code), scale[i], offset[i]);
    }
  };
  struct ByteKeys : CodedKeys {
    HEARTH_INLINE void load(std::size_t d, KeyPair& out) const {
      const std::byte* const at = this->p + d * kPageTokens;
      for (std::size_t i = 0; i < 4; ++i) {
        out[i / 2][i % 2] = this->number(Simd::load_u8(at + i * kLanes), i % 2);
      }
    }
  };
  struct NibbleKeys : CodedKeys {
    HEARTH_INLINE void load(std::size_t d, KeyPair& out) const {
      const std::byte* const at = this->p + d / 2 * kPageTokens;
      for (std::size_t i = 0; i < 2; ++i) {
        const auto pair = Simd::load_u8(at + i * kLanes);
        out[0][i] = this->number(Simd::bit_and(pair, Simd::set1(15)), i);
        out[1][i] = this->number(Simd::template shr<4>(pair), i);
      }
    }
  };

  // Vectors of the values of slot `t`, from dimension `col` on.
  struct FloatValues {
    const float* p;
    std::size_t head_dim;
    template <std::uint32_t kCols>
    HEARTH_INLINE void load(std::size_t t, std::size_t col, F* out) const {
      for (std::size_t c = 0; c < kCols; ++c) {
        out[c] = Simd::load_f(p + t * head_dim + col + c * kLanes);
      }
    }
  };
  struct HalfValues {
    const tensor::F16* p;
    std::size_t head_dim;
    template <std::uint32_t kCols>
    HEARTH_INLINE void load(std::size_t t, std::size_t col, F* out) const {
      for (std::size_t c = 0; c < kCols; ++c) {
        out[c] = Simd::load_f16(p + t * head_dim + col + c * kLanes);
      }
    }
  };
  struct CodedValues {
    const std::byte* p;
    const float* scales;  // Widened, [n_groups, kPageTokens].
    std::size_t row_bytes;
    float zero;
    HEARTH_INLINE F number(typename Simd::I code, std::size_t t, std::size_t d) const {
      const float scale = scales[d / kKvGroup * kPageTokens + t];
      return Simd::fma(Simd::to_float(code), Simd::set1_f(scale), Simd::set1_f(scale * -zero));
    }
  };
  struct ByteValues : CodedValues {
    template <std::uint32_t kCols>
    HEARTH_INLINE void load(std::size_t t, std::size_t col, F* out) const {
      for (std::size_t d = col; d < col + kCols * kLanes; d += kLanes, ++out) {
        *out = this->number(Simd::load_u8(this->p + t * this->row_bytes + d), t, d);
      }
    }
  };
  struct NibbleValues : CodedValues {
    template <std::uint32_t kCols>
    HEARTH_INLINE void load(std::size_t t, std::size_t col, F* out) const {
      const std::byte* const row = this->p + t * this->row_bytes;
      if constexpr (kCols == 1) {
        const auto pair = Simd::load_u8(row + col / kKvGroup * kLanes);
        const bool is_low = col % kKvGroup == 0;
        const auto code =
            is_low ? Simd::bit_and(pair, Simd::set1(15)) : Simd::template shr<4>(pair);
        *out = this->number(code, t, col);
      } else {
        for (std::size_t d = col; d < col + kCols * kLanes; d += kKvGroup, out += 2) {
          const auto pair = Simd::load_u8(row + d / 2);
          out[0] = this->number(Simd::bit_and(pair, Simd::set1(15)), t, d);
          out[1] = this->number(Simd::template shr<4>(pair), t, d);
        }
      }
    }
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
    for (std::uint32_t first = 0; first < head_dim; first += kKvGroup) {
      keys.enter(first / kKvGroup);
      const std::uint32_t end = first + kKvGroup < head_dim ? first + kKvGroup : head_dim;
      for (std::size_t d = first; d < end; d += 2) {
        KeyPair key;
        keys.load(d, key);
        for (std::uint32_t i = 0; i < 2; ++i) {
          for (std::uint32_t r = 0; r < kRows; ++r) {
            const F q = Simd::set1_f(rows[r].query[d + i]);
            sums[r][0] = Simd::fma(q, key[i][0], sums[r][0]);
            sums[r][1] = Simd::fma(q, key[i][1], sums[r][1]);
          }
        }
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
                                        std::uint32_t n_slots, const float* weights) {
    F sums[kRows][kCols];
    for (std::uint32_t r = 0; r < kRows; ++r) {
      for (std::uint32_t c = 0; c < kCols; ++c) {
        sums[r][c] = Simd::load_f(rows[r].out + col + c * kLanes);
      }
    }
    for (std::size_t t = 0; t < n_slots; ++t) {
      F value[kCols];
      values.template load<kCols>(t, col, value);
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
      value_block<kRows, kColsMax>(rows, values, col, n_slots, weights);
    }
    for (; col < head_dim; col += kLanes) {
      value_block<kRows, 1>(rows, values, col, n_slots, weights);
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

  template <class Keys, class Values>
  static void attend(const AttentionPage& page, Keys keys, Values values) {
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

  template <class Keys>
  HEARTH_INLINE static void widen_keys(Keys keys, std::uint32_t head_dim, float* to) {
    for (std::uint32_t d = 0; d < head_dim; d += 2) {
      if (d % kKvGroup == 0) keys.enter(d / kKvGroup);
      KeyPair key;
      keys.load(d, key);
      for (std::size_t i = 0; i < 4; ++i, to += kLanes) Simd::store_f(to, key[i / 2][i % 2]);
    }
  }

  template <class Values>
  HEARTH_INLINE static void widen_values(Values values, std::uint32_t head_dim, float* to) {
    for (std::uint32_t t = 0; t < kPageTokens; ++t) {
      for (std::uint32_t col = 0; col < head_dim; col += kLanes, to += kLanes) {
        F value[1];
        values.template load<1>(t, col, value);
        Simd::store_f(to, value[0]);
      }
    }
  }

  template <class Keys, class Values>
  static void attend_typed(const AttentionPage& page, Keys keys, Values values) {
    if (page.n_rows < kWidenRowsMin) return attend(page, keys, values);
    float* const wide_values = page.tile + std::size_t{kPageTokens} * page.head_dim;
    widen_keys(keys, page.head_dim, page.tile);
    widen_values(values, page.head_dim, wide_values);
    attend(page, FloatKeys{page.tile}, FloatValues{wide_values, page.head_dim});
  }

  // Of quantised types, whose scales are widened first.
  template <class Keys, class Values>
  static void attend_coded(const AttentionPage& page, std::size_t row_bytes, float zero) {
    const std::uint32_t n_groups = (page.head_dim + kKvGroup - 1) / kKvGroup;
    for (std::size_t i = 0; i < std::size_t{n_groups} * kPageTokens; i += kLanes) {
      Simd::store_f(page.wide_scales + i, Simd::load_f16(page.value_scales + i));
    }
    Keys keys;
    keys.p = page.keys;
    keys.scales = page.key_scales;
    keys.zero = zero;
    Values values;
    values.p = page.values;
    values.scales = page.wide_scales;
    values.row_bytes = row_bytes;
    values.zero = zero;
    attend_typed(page, keys, values);
  }

  static void attend_page(const AttentionPage& page) {
    const std::size_t n_groups = (page.head_dim + kKvGroup - 1) / kKvGroup;
    switch (page.type) {
      case KvType::kF16:
        return attend_typed(page, HalfKeys{reinterpret_cast<const tensor::F16*>(page.keys)},
                            HalfValues{reinterpret_cast<const tensor::F16*>(page.values),
                                       page.head_dim});
      case KvType::kQ8_0:
        return attend_coded<ByteKeys, ByteValues>(page, page.head_dim, 128.0F);
      case KvType::kQ4_0:
        return attend_coded<NibbleKeys, NibbleValues>(page, n_groups * kLanes, 8.0F);
    }
  }
};

}  // namespace hearth::model

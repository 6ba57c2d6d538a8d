// The types of two bits a weight and fewer, for Unpacker (unpack.h): lattice points
// (tensor/grids.h) and ternary digits.
//
// Sixteen rows' indices lie in lanes as all else does, so a point is a gather: four weights of 16
// rows at once.  Signs are bits of a byte for eight weights.  Every weight becomes kGridOffset plus
// itself, which stays below 128.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/grids.h"
#include "tensor/kernels/inline.h"

namespace hearth::tensor {

template <class S>
struct Unpacker;

template <class S>
struct GridBlocks {
  using I = typename S::I;
  using F = typename S::F;
  using U = Unpacker<S>;

  static constexpr std::uint32_t kOnes = 0x01010101U;  // A one in each byte.

  // v << kBits, or to the right where that is negative, masked.
  template <int kBits>
  HEARTH_INLINE static I moved(I v, std::uint32_t mask) {
    if constexpr (kBits >= 0)
      return S::bit_and(S::template shl<kBits>(v), S::set1(mask));
    else
      return S::bit_and(S::template shr<-kBits>(v), S::set1(mask));
  }

  // (2 n + 1) * factor * d with the n of kBits bits from bit kAt on.
  template <int kAt, int kBits = 4>
  HEARTH_INLINE static F odd_scale(F d, I v, float factor) {
    return S::step([&]() __attribute__((always_inline)) {
      const I n = moved<-kAt>(v, (1U << kBits) - 1);
      const I odd = S::bit_or(S::template shl<1>(n), S::set1(1));
      return S::mul(S::mul(d, S::to_float(odd)), S::set1_f(factor));
    });
  }

  // Bytes of seven sign bits each; the eighth makes their number even.
  HEARTH_INLINE static I with_parity(I s) {
    return S::step([&]() __attribute__((always_inline)) {
      I p = S::bit_xor(s, S::template shr<4>(s));
      p = S::bit_xor(p, S::template shr<2>(p));
      p = S::bit_xor(p, S::template shr<1>(p));
      return S::bit_or(s, S::template shl<7>(S::bit_and(p, S::set1(kOnes))));
    });
  }
  // Four times seven sign bits, from the lowest on.
  HEARTH_INLINE static I four_signs(I v) {
    const I low = S::bit_or(moved<0>(v, 0x7FU), moved<1>(v, 0x7F00U));
    return with_parity(S::bit_or(low, S::bit_or(moved<2>(v, 0x7F0000U), moved<3>(v, 0x7F000000U))));
  }

  // The quad of magnitudes at `index`, with the signs that are bits 0-3 (kHalf 0) or 4-7 of byte
  // kByte.
  template <int kByte, int kHalf>
  HEARTH_INLINE static I signed_quad(const std::uint32_t* grid, I index, I signs) {
    return S::step([&]() __attribute__((always_inline)) {
      const I magnitudes = S::pick32(grid, index);
      const std::uint32_t own = kHalf == 0 ? 0x08040201U : 0x80402010U;
      const I bits = S::bit_and(S::template replicate_byte<kByte>(signs), S::set1(own));
      const I negative = S::min_u8(bits, S::set1(kOnes));
      const I mask = S::sub32(S::template shl<8>(negative), negative);
      const I twice = S::template shl<1>(S::bit_and(magnitudes, mask));
      return S::sub32(S::add32(magnitudes, S::set1(kGridOffset * kOnes)), twice);
    });
  }

  // Weights 8 kPoint to 8 kPoint + 7 of the group: a point of 8 and byte kPoint of `signs`.
  template <class Type, int kGroup, int kPoint, class Out>
  HEARTH_INLINE static void signed_point(Out& p, const std::uint32_t* grid, I index, I signs) {
    const I at = S::template shl<1>(index);
    p.template quad<Type, kGroup, 2 * kPoint>(signed_quad<kPoint, 0>(grid, at, signs));
    p.template quad<Type, kGroup, 2 * kPoint + 1>(signed_quad<kPoint, 1>(grid + 1, at, signs));
  }

  struct IQ2_XXS {
    static constexpr std::uint32_t kBytes = 66, kCols = 256, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const F d = b.template half<0>();
      U::template unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I raw[8];  // Per group: four indices; four sets of signs and a scale.
        b.template rows_32<2 + 32 * half>(raw);
        U::template unroll<4>([&]<int j>() __attribute__((always_inline)) {
          constexpr int kGroup = 4 * half + j;
          U::put(p.scales, kGroup, odd_scale<28>(d, raw[2 * j + 1], 0.125F));
          const I signs = four_signs(raw[2 * j + 1]);
          U::template unroll<4>([&]<int k>() __attribute__((always_inline)) {
            const I index = S::template pick_byte<k>(raw[2 * j]);
            signed_point<IQ2_XXS, kGroup, k>(p, kGridIQ2_XXS.quads, index, signs);
          });
        });
      });
    }
  };

  // Two scales per group, nibbles of the byte that belongs to it.
  template <int kGroup, class Out>
  HEARTH_INLINE static void put_nibble_scales(Out& p, F d, const I* scales) {
    constexpr int kAt = 8 * (kGroup % 4);
    U::put(p.scales, 2 * kGroup, odd_scale<kAt>(d, scales[kGroup / 4], 0.125F));
    U::put(p.scales, 2 * kGroup + 1, odd_scale<kAt + 4>(d, scales[kGroup / 4], 0.125F));
  }

  struct IQ2_XS {
    static constexpr std::uint32_t kBytes = 74, kCols = 256, kSubs = 2;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const F d = b.template half<0>();
      const I scales[2] = {b.template dword<66>(), b.template dword<70>()};
      U::template unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I raw[8];  // Per group: four times nine bits of index and seven of signs.
        b.template rows_32<2 + 32 * half>(raw);
        U::template unroll<4>([&]<int j>() __attribute__((always_inline)) {
          constexpr int kGroup = 4 * half + j;
          put_nibble_scales<kGroup>(p, d, scales);
          const I first = raw[2 * j];
          const I second = raw[2 * j + 1];
          const I low = S::bit_or(moved<-9>(first, 0x7FU), moved<-17>(first, 0x7F00U));
          const I high = S::bit_or(moved<7>(second, 0x7F0000U), moved<-1>(second, 0x7F000000U));
          const I signs = with_parity(S::bit_or(low, high));
          U::template unroll<4>([&]<int k>() __attribute__((always_inline)) {
            const I index = moved<-16 * (k % 2)>(k < 2 ? first : second, 511);
            signed_point<IQ2_XS, kGroup, k>(p, kGridIQ2_XS.quads, index, signs);
          });
        });
      });
    }
  };

  struct IQ2_S {
    static constexpr std::uint32_t kBytes = 82, kCols = 256, kSubs = 2;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const F d = b.template half<0>();
      I low[8];
      I signs[8];
      b.template rows_32<2>(low);
      b.template rows_32<34>(signs);
      const I high[2] = {b.template dword<66>(), b.template dword<70>()};
      const I scales[2] = {b.template dword<74>(), b.template dword<78>()};
      U::template unroll<8>([&]<int g>() __attribute__((always_inline)) {
        put_nibble_scales<g>(p, d, scales);
        const I pairs = S::template pick_byte<g % 4>(high[g / 4]);
        U::template unroll<4>([&]<int k>() __attribute__((always_inline)) {
          const I index =
              S::bit_or(S::template pick_byte<k>(low[g]), moved<8 - 2 * k>(pairs, 0x300U));
          signed_point<IQ2_S, g, k>(p, kGridIQ2_S.quads, index, signs[g]);
        });
      });
    }
  };

  struct IQ3_XXS {
    static constexpr std::uint32_t kBytes = 98, kCols = 256, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const F d = b.template half<0>();
      I rest[8];  // Per group: four sets of signs and a scale.
      b.template rows_32<66>(rest);
      U::template unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I raw[8];
        b.template rows_32<2 + 32 * half>(raw);
        U::template unroll<4>([&]<int j>() __attribute__((always_inline)) {
          constexpr int kGroup = 4 * half + j;
          U::put(p.scales, kGroup, odd_scale<28>(d, rest[kGroup], 0.25F));
          const I signs = four_signs(rest[kGroup]);
          U::template unroll<8>([&]<int q>() __attribute__((always_inline)) {
            const I index = S::template pick_byte<q % 4>(raw[2 * j + q / 4]);
            p.template quad<IQ3_XXS, kGroup, q>(
                signed_quad<q / 2, q % 2>(kGridIQ3_XXS.quads, index, signs));
          });
        });
      });
    }
  };

  struct IQ3_S {
    static constexpr std::uint32_t kBytes = 110, kCols = 256, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const F d = b.template half<0>();
      I signs[8];
      b.template rows_32<74>(signs);
      const I ninth[2] = {b.template dword<66>(), b.template dword<70>()};
      const I scales = b.template dword<106>();
      U::template unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I raw[8];
        b.template rows_32<2 + 32 * half>(raw);
        U::template unroll<4>([&]<int j>() __attribute__((always_inline)) {
          constexpr int kGroup = 4 * half + j;
          U::put(p.scales, kGroup, odd_scale<4 * kGroup>(d, scales, 1.0F));
          const I high = S::template pick_byte<j>(ninth[half]);
          U::template unroll<8>([&]<int q>() __attribute__((always_inline)) {
            const I low = S::template pick_byte<q % 4>(raw[2 * j + q / 4]);
            const I index = S::bit_or(low, moved<8 - q>(high, 0x100U));
            p.template quad<IQ3_S, kGroup, q>(
                signed_quad<q / 2, q % 2>(kGridIQ3_S.quads, index, signs[kGroup]));
          });
        });
      });
    }
  };

  // Half a point of IQ1, each coordinate moved up by an eighth, or down where bit kBit of `v` is
  // set.
  template <int kBit>
  HEARTH_INLINE static I shifted_quad(const std::uint32_t* grid, I index, I v) {
    return S::step([&]() __attribute__((always_inline)) {
      const I is_up = S::bit_xor(moved<-kBit>(v, 1), S::set1(1));
      const I two = S::template shl<1>(S::template replicate_byte<0>(is_up));
      return S::add32(S::pick32(grid, index), S::sub32(two, S::set1(kOnes)));
    });
  }
  template <class Type, int kGroup, int kPoint, int kBit, class Out>
  HEARTH_INLINE static void shifted_point(Out& p, I index, I v) {
    const I at = S::template shl<1>(index);
    p.template quad<Type, kGroup, 2 * kPoint>(shifted_quad<kBit>(kGridIQ1.quads, at, v));
    p.template quad<Type, kGroup, 2 * kPoint + 1>(shifted_quad<kBit>(kGridIQ1.quads + 1, at, v));
  }

  struct IQ1_S {
    static constexpr std::uint32_t kBytes = 50, kCols = 256, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const F d = b.template half<0>();
      I low[8];
      I high[4];  // Per group 16 bits: four times three of index, a scale of three, the shift.
      b.template rows_32<2>(low);
      b.template rows_16<34>(high);
      U::template unroll<8>([&]<int g>() __attribute__((always_inline)) {
        const I h = moved<-16 * (g % 2)>(high[g / 2], 0xFFFFU);
        U::put(p.scales, g, odd_scale<12, 3>(d, h, 0.125F));
        U::template unroll<4>([&]<int k>() __attribute__((always_inline)) {
          const I index = S::bit_or(S::template pick_byte<k>(low[g]), moved<8 - 3 * k>(h, 0x700U));
          shifted_point<IQ1_S, g, k, 15>(p, index, h);
        });
      });
    }
  };

  struct IQ1_M {
    static constexpr std::uint32_t kBytes = 56, kCols = 256, kSubs = 2;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      I low[8];
      I high[4];  // Per group four nibbles: three bits of index and the shift.
      b.template rows_32<0>(low);
      b.template rows_16<32>(high);
      // Four times 16 bits: four scales of three, and a nibble of the block's.
      const I scales[2] = {b.template dword<48>(), b.template dword<52>()};
      const I d_low = S::bit_or(moved<-12>(scales[0], 0xFU), moved<-24>(scales[0], 0xF0U));
      const I d_high = S::bit_or(moved<-4>(scales[1], 0xF00U), moved<-16>(scales[1], 0xF000U));
      const F d = S::half_low(S::bit_or(d_low, d_high));
      U::template unroll<8>([&]<int g>() __attribute__((always_inline)) {
        constexpr int kAt = 16 * (g / 2 % 2) + 6 * (g % 2);
        U::put(p.scales, 2 * g, odd_scale<kAt, 3>(d, scales[g / 4], 0.125F));
        U::put(p.scales, 2 * g + 1, odd_scale<kAt + 3, 3>(d, scales[g / 4], 0.125F));
        const I h = moved<-16 * (g % 2)>(high[g / 2], 0xFFFFU);
        U::template unroll<4>([&]<int k>() __attribute__((always_inline)) {
          const I index = S::bit_or(S::template pick_byte<k>(low[g]), moved<8 - 4 * k>(h, 0x700U));
          shifted_point<IQ1_M, g, k, 4 * k + 3>(p, index, h);
        });
      });
    }
  };

  // Four bytes, each of which is a fraction with five ternary digits: the next digit is what
  // multiplying by three carries out of the byte.
  struct Digits {
    I even, odd;  // Every other byte, in 16 bits.
    HEARTH_INLINE explicit Digits(I v)
        : even(moved<0>(v, 0xFF00FFU)), odd(moved<-8>(v, 0xFF00FFU)) {}
    HEARTH_INLINE I next() {
      return S::step([&]() __attribute__((always_inline)) {
        const I e = S::add32(even, S::template shl<1>(even));
        const I o = S::add32(odd, S::template shl<1>(odd));
        even = S::bit_and(e, S::set1(0xFF00FFU));
        odd = S::bit_and(o, S::set1(0xFF00FFU));
        // Digits 0, 1 and 2 are the weights -1, 0 and 1.
        const I digits = S::bit_or(moved<-8>(e, 0x30003U), S::bit_and(o, S::set1(0x3000300U)));
        return S::add32(digits, S::set1((kGridOffset - 1) * kOnes));
      });
    }
  };
  template <class Out>
  HEARTH_INLINE static void put_everywhere(Out& p, F d) {
    for (int g = 0; g < 8; ++g) U::put(p.scales, g, d);
  }

  struct TQ1_0 {
    static constexpr std::uint32_t kBytes = 54, kCols = 256, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      put_everywhere(p, b.template half<52>());
      I raw[8];
      // 32 bytes of five digits, of which digit n makes group n; 16 bytes that make half groups;
      // four bytes with the last 16 weights.
      b.template rows_32<0>(raw);
      U::template unroll<8>([&]<int q>() __attribute__((always_inline)) {
        Digits digits(raw[q]);
        U::template unroll<5>([&]<int g>() __attribute__((always_inline)) {
          p.template quad<TQ1_0, g, q>(digits.next());
        });
      });
      b.template rows_16<32>(raw);
      U::template unroll<4>([&]<int q>() __attribute__((always_inline)) {
        Digits digits(raw[q]);
        U::template unroll<5>([&]<int n>() __attribute__((always_inline)) {
          p.template quad<TQ1_0, 5 + n / 2, n % 2 * 4 + q>(digits.next());
        });
      });
      Digits digits(b.template dword<48>());
      U::template unroll<4>([&]<int q>() __attribute__((always_inline)) {
        p.template quad<TQ1_0, 7, 4 + q>(digits.next());
      });
    }
  };

  struct TQ2_0 {
    static constexpr std::uint32_t kBytes = 66, kCols = 256, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      put_everywhere(p, b.template half<64>());
      U::template unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I raw[8];
        b.template rows_32<32 * half>(raw);
        U::template unroll<4>([&]<int plane>() __attribute__((always_inline)) {
          U::template unroll<8>([&]<int q>() __attribute__((always_inline)) {
            p.template quad<TQ2_0, 4 * half + plane, q>(
                S::add32(moved<-2 * plane>(raw[q], 3 * kOnes), S::set1((kGridOffset - 1) * kOnes)));
          });
        });
      });
    }
  };
};

}  // namespace hearth::tensor

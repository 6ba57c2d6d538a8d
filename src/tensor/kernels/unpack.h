// From stored blocks (tensor/blocks.h) to panels (panel.h), once for all instruction sets.
//
// A block hands its quads to a sink.  `Store` writes them to a panel, which then serves many
// tokens; `Multiply` multiplies them with one token's activations while they are in registers,
// which is all that a decode step wants of them.
//
// Everything happens with one row per lane, also the decoding of packed scales: a load transposes
// 16 rows' bytes into lanes, and from there shifts and masks on whole registers do what a loop over
// bits would.  Each type is a struct with its block's shape and a static `block` that unpacks one
// block of 16 rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensor/kernels/inline.h"
#include "tensor/kernels/panel.h"
#include "tensor/kernels/prefetch.h"
#include "tensor/kernels/unpack_grids.h"

namespace hearth::tensor {

template <class S>
struct Unpacker {
  using I = typename S::I;
  using F = typename S::F;
  using Grids = GridBlocks<S>;

  static constexpr std::uint32_t kNibbles = 0x0F0F0F0FU;

  HEARTH_INLINE static I nibbles_low(I v) { return S::bit_and(v, S::set1(kNibbles)); }
  HEARTH_INLINE static I nibbles_high(I v) { return nibbles_low(S::template shr<4>(v)); }
  // One block of each of 16 rows as a file has them: rows apart, their fields transposed into lanes
  // as they are loaded.
  struct Rows {
    const std::byte* at;
    std::size_t stride;

    template <std::size_t kOffset>
    HEARTH_INLINE void rows_16(I* out) const {
      S::load_rows_16(at + kOffset, stride, out);
    }
    template <std::size_t kOffset>
    HEARTH_INLINE void rows_32(I* out) const {
      S::load_rows_32(at + kOffset, stride, out);
    }
    template <std::size_t kOffset>
    HEARTH_INLINE I dword() const {
      return S::gather32(at + kOffset, stride);
    }
    // A gather reads four bytes: those of the block, also where the half is its last.
    template <std::size_t kOffset>
    HEARTH_INLINE F half() const {
      if constexpr (kOffset < 2) return S::half_low(S::gather32(at + kOffset, stride));
      return S::half_high(S::gather32(at + kOffset - 2, stride));
    }
    template <std::size_t kOffset>
    HEARTH_INLINE I byte() const {
      return S::bit_and(S::gather32(at + kOffset, stride), S::set1(255));
    }
  };

  // The same, packed (pack.h): every field lies in lanes already.
  struct Packed {
    const std::byte* at;

    template <std::size_t kOffset>
    HEARTH_INLINE void rows_16(I* out) const {
      for (std::size_t i = 0; i < 4; ++i) out[i] = S::load(at + kOffset * kPanelRows + i * 64);
    }
    template <std::size_t kOffset>
    HEARTH_INLINE void rows_32(I* out) const {
      for (std::size_t i = 0; i < 8; ++i) out[i] = S::load(at + kOffset * kPanelRows + i * 64);
    }
    template <std::size_t kOffset>
    HEARTH_INLINE I dword() const {
      return S::load(at + kOffset * kPanelRows);
    }
    template <std::size_t kOffset>
    HEARTH_INLINE F half() const {
      return S::load_f16(at + kOffset * kPanelRows);
    }
    template <std::size_t kOffset>
    HEARTH_INLINE I byte() const {
      return S::load_u8(at + kOffset * kPanelRows);
    }
    template <std::size_t kOffset>
    HEARTH_INLINE I signed_byte() const {
      return S::load_i8(at + kOffset * kPanelRows);
    }
  };

  static constexpr std::size_t kNearBytes = 2048;  // From 1 to 2 KB, the same within the noise.

  // Prefetches quad n's share of the lines that will be read next: from `ahead` on towards the
  // second-level cache, or from `near` on, which is there already, towards the first.  Without the
  // second step a decode step waits for the second-level cache as often as it reads a line, which
  // is a tenth of its speed.  That a prefetch goes with a quad, rather than all of them before the
  // block, is worth a third of the speed of a decode step: a burst of them fills the line buffers,
  // and everything behind it waits.  Blocks are no whole lines, so a line may be asked for by two
  // of them, but none by nobody.
  template <class Type, Cache kLevel = Cache::kSecond>
  HEARTH_INLINE static void prefetch(std::uintptr_t from, std::size_t n) {
    constexpr std::size_t kLines =
        (std::size_t{Type::kBytes} * kPanelRows + kLineBytes - 1) / kLineBytes;
    constexpr std::size_t kQuads = Type::kCols / 4;
    for (std::size_t line = n * kLines / kQuads; line < (n + 1) * kLines / kQuads; ++line) {
      prefetch_line<kLevel>(from + line * kLineBytes);
    }
  }

  // Writes to the panel from the block on.
  struct Store {
    std::uint8_t* quads;
    float* scales;
    float* mins;
    std::uintptr_t ahead;

    template <class Type, int kGroup, int kIndex>
    HEARTH_INLINE void quad(I v) {
      constexpr std::size_t n = kGroup * 8 + kIndex;
      S::store(quads + n * 64, v);
      prefetch<Type>(ahead, n);
    }
  };

  // Sums of one block's products with one token, from `start` on (panel.h).
  template <bool kIsStream>
  struct Multiply {
    const std::int8_t* q;       // [kCols]
    const std::int32_t* start;  // [groups * kSubs]
    float* scales;
    float* mins;
    std::uintptr_t ahead;
    std::uintptr_t near;  // Where the blocks that follow lie in one stream.
    I n[16];

    template <class Type, int kGroup, int kIndex>
    HEARTH_INLINE void quad(I v) {
      constexpr int kQuads = 8 / Type::kSubs;  // Of a sub-group.
      constexpr int kSub = kGroup * Type::kSubs + kIndex / kQuads;
      if constexpr (kIndex % kQuads == 0) n[kSub] = S::broadcast32(start + kSub);
      constexpr std::size_t kAt = kGroup * 8 + kIndex;
      n[kSub] = S::template dot4<true>(n[kSub], v, S::broadcast32(q + kAt * 4));
      prefetch<Type>(ahead, kAt);
      if constexpr (kIsStream) prefetch<Type, Cache::kFirst>(near, kAt);
    }
  };

  // Stores sub-scale `index` of the panel.
  HEARTH_INLINE static void put(float* array, int index, F v) {
    S::store_f(array + static_cast<std::size_t>(index) * kPanelRows, v);
  }
  template <int kBits>
  HEARTH_INLINE static F field(I v, std::uint32_t mask) {
    return S::to_float(S::bit_and(S::template shr<kBits>(v), S::set1(mask)));
  }
  HEARTH_INLINE static F negated(F v) { return S::sub(S::set1_f(0.0F), v); }

  // Calls fn.template operator()<i>() for i in [0, n), unrolled.
  template <int kEnd, int kBegin = 0, class Fn>
  HEARTH_INLINE static void unroll(Fn&& fn) {
    if constexpr (kBegin < kEnd) {
      fn.template operator()<kBegin>();
      unroll<kEnd, kBegin + 1>(fn);
    }
  }

  // 16 bytes of nibbles: weight i in the low, i + 16 in the high half of byte i.
  template <std::size_t kOffset, class In>
  HEARTH_INLINE static void nibble_quads(const In& b, I* quads) {
    I raw[4];
    b.template rows_16<kOffset>(raw);
    for (int q = 0; q < 4; ++q) {
      quads[q] = nibbles_low(raw[q]);
      quads[q + 4] = nibbles_high(raw[q]);
    }
  }
  template <class Type, class Out>
  HEARTH_INLINE static void put_group(Out& p, const I* quads) {
    unroll<8>([&]<int q>()
                  __attribute__((always_inline)) { p.template quad<Type, 0, q>(quads[q]); });
  }

  struct Q4_0 {
    static constexpr std::uint32_t kBytes = 18, kCols = 32, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      I quads[8];
      nibble_quads<2>(b, quads);
      put_group<Q4_0>(p, quads);
      put(p.scales, 0, b.template half<0>());
    }
  };

  struct Q4_1 {
    static constexpr std::uint32_t kBytes = 20, kCols = 32, kSubs = 1;
    static constexpr bool kMin = true;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      I quads[8];
      nibble_quads<4>(b, quads);
      put_group<Q4_1>(p, quads);
      const I d_m = b.template dword<0>();
      put(p.scales, 0, S::half_low(d_m));
      put(p.mins, 0, negated(S::half_high(d_m)));
    }
  };

  // Bit i of the 32 in `bits` becomes bit 4 of weight i: the byte that holds a quad's four bits is
  // copied to the quad's four bytes, each keeps its own bit, and whatever is left becomes 1.
  HEARTH_INLINE static void add_fifth_bits(I bits, I* quads) {
    unroll<8>([&]<int q>() __attribute__((always_inline)) {
      const std::uint32_t own = q % 2 == 0 ? 0x08040201U : 0x80402010U;
      const I kept = S::bit_and(S::template replicate_byte<q / 2>(bits), S::set1(own));
      const I one = S::min_u8(kept, S::set1(0x01010101U));
      quads[q] = S::bit_or(quads[q], S::template shl<4>(one));
    });
  }

  struct Q5_0 {
    static constexpr std::uint32_t kBytes = 22, kCols = 32, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      I quads[8];
      nibble_quads<6>(b, quads);
      add_fifth_bits(b.template dword<2>(), quads);
      put_group<Q5_0>(p, quads);
      put(p.scales, 0, b.template half<0>());
    }
  };

  struct Q5_1 {
    static constexpr std::uint32_t kBytes = 24, kCols = 32, kSubs = 1;
    static constexpr bool kMin = true;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      I quads[8];
      nibble_quads<8>(b, quads);
      add_fifth_bits(b.template dword<4>(), quads);
      put_group<Q5_1>(p, quads);
      const I d_m = b.template dword<0>();
      put(p.scales, 0, S::half_low(d_m));
      put(p.mins, 0, negated(S::half_high(d_m)));
    }
  };

  struct Q8_0 {
    static constexpr std::uint32_t kBytes = 34, kCols = 32, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      I quads[8];
      b.template rows_32<2>(quads);
      for (int q = 0; q < 8; ++q) quads[q] = S::bit_xor(quads[q], S::set1(0x80808080U));
      put_group<Q8_0>(p, quads);
      put(p.scales, 0, b.template half<0>());
    }
  };

  struct IQ4_NL {
    static constexpr std::uint32_t kBytes = 18, kCols = 32, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      iq4_group<IQ4_NL, 0, 2>(b, p);
      put(p.scales, 0, b.template half<0>());
    }
  };

  // kIq4Values + 128.
  template <class Type, int kGroup, std::size_t kOffset, class In, class Out>
  HEARTH_INLINE static void iq4_group(const In& b, Out& p) {
    alignas(16) static constexpr std::uint8_t kTable[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                            129, 141, 153, 166, 181, 197, 217, 241};
    I quads[8];
    nibble_quads<kOffset>(b, quads);
    const I table = S::table16(kTable);
    unroll<8>([&]<int q>() __attribute__((always_inline)) {
      p.template quad<Type, kGroup, q>(S::lookup(table, quads[q]));
    });
  }

  struct IQ4_XS {
    static constexpr std::uint32_t kBytes = 136, kCols = 256, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const I d_high = b.template dword<0>();  // d, then 16 bits of scales.
      const I low = b.template dword<4>();
      const F d = S::half_low(d_high);
      unroll<8>([&]<int g>() __attribute__((always_inline)) {
        const I l = S::bit_and(S::template shr<4 * g>(low), S::set1(15));
        const I h = S::bit_and(S::template shr<16 + 2 * g>(d_high), S::set1(3));
        const I scale = S::bit_or(l, S::template shl<4>(h));
        put(p.scales, g, S::mul(d, S::to_float(S::add32(scale, S::set1(-32U)))));
      });
      unroll<8>([&]<int g>()
                    __attribute__((always_inline)) { iq4_group<IQ4_XS, g, 8 + 16 * g>(b, p); });
    }
  };

  struct MXFP4 {
    static constexpr std::uint32_t kBytes = 17, kCols = 32, kSubs = 1;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      // kFp4Values + 128.
      alignas(16) static constexpr std::uint8_t kTable[16] = {
          128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116};
      I quads[8];
      nibble_quads<1>(b, quads);
      const I table = S::table16(kTable);
      for (int q = 0; q < 8; ++q) quads[q] = S::lookup(table, quads[q]);
      put_group<MXFP4>(p, quads);
      // 2^(e - 128) in two factors, neither of which leaves the normal range: e / 2 and the rest.
      const I e = b.template byte<0>();
      const I half = S::template shr<1>(e);
      const I rest = S::add32(e, S::bit_xor(half, S::set1(~0U)));  // e - half - 1
      const F a = power_of_2(half, 127 - 64);
      const F c = power_of_2(S::add32(rest, S::set1(1)), 127 - 64);
      put(p.scales, 0, S::mul(a, c));
    }
    // 2^(v - 127 + bias) for small v.
    HEARTH_INLINE static F power_of_2(I v, std::uint32_t bias) {
      return S::as_float(S::template shl<23>(S::add32(v, S::set1(bias))));
    }
  };

  // The 16 bytes that Q4_K and Q5_K begin with: d and dmin, then eight 6-bit scales and mins, as
  // dwords s[1] (scales 0-3), s[2] (mins 0-3), s[3] (low nibbles of the rest), with the high pairs
  // of the rest in the top bits of s[1] and s[2].  Odd groups' scales are multiplied by
  // `odd_factor`.
  template <class In, class Out>
  HEARTH_INLINE static void k4_scales(const In& b, Out& p, float odd_factor) {
    I s[4];
    b.template rows_16<0>(s);
    const F d = S::half_low(s[0]);
    const F d_odd = S::mul(d, S::set1_f(odd_factor));
    const F dmin = S::half_high(s[0]);
    // All four bytes at once: scales and mins of groups 0-3, then of groups 4-7.
    const I low6 = S::set1(0x3F3F3F3FU);
    const I pairs = S::set1(0x30303030U);
    const I scales[2] = {S::bit_and(s[1], low6),
                         S::bit_or(nibbles_low(s[3]), S::bit_and(S::template shr<2>(s[1]), pairs))};
    const I mins[2] = {S::bit_and(s[2], low6),
                       S::bit_or(nibbles_high(s[3]), S::bit_and(S::template shr<2>(s[2]), pairs))};
    unroll<8>([&]<int g>() __attribute__((always_inline)) {
      put(p.scales, g, S::mul(g % 2 == 0 ? d : d_odd, byte_as_float<g % 4>(scales[g / 4])));
      put(p.mins, g, S::mul(dmin, byte_as_float<g % 4>(mins[g / 4])));
    });
  }
  template <int kByte>
  HEARTH_INLINE static F byte_as_float(I v) {
    return S::to_float(S::template pick_byte<kByte>(v));
  }

  struct Q4_K {
    static constexpr std::uint32_t kBytes = 144, kCols = 256, kSubs = 1;
    static constexpr bool kMin = true;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      // Where bytes over 127 cost nothing, high nibbles stay where they are, 16 times too large.
      k4_scales(b, p, S::kWideIsFree ? 1.0F / 16 : 1.0F);
      unroll<4>([&]<int pair>() __attribute__((always_inline)) {
        I raw[8];
        b.template rows_32<16 + 32 * pair>(raw);
        unroll<8>([&]<int q>() __attribute__((always_inline)) {
          p.template quad<Q4_K, 2 * pair, q>(nibbles_low(raw[q]));
          const I high =
              S::kWideIsFree ? S::bit_and(raw[q], S::set1(~kNibbles)) : nibbles_high(raw[q]);
          p.template quad<Q4_K, 2 * pair + 1, q>(high);
        });
      });
    }
  };

  // Bit kBit of each byte, moved to bit 4.
  template <int kBit>
  HEARTH_INLINE static I bit_to_4(I v) {
    const I mask = S::set1(0x10101010U);
    if constexpr (kBit <= 4)
      return S::bit_and(S::template shl<4 - kBit>(v), mask);
    else
      return S::bit_and(S::template shr<kBit - 4>(v), mask);
  }

  struct Q5_K {
    static constexpr std::uint32_t kBytes = 176, kCols = 256, kSubs = 1;
    static constexpr bool kMin = true;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      k4_scales(b, p, 1.0F);
      I fifth[8];
      b.template rows_32<16>(fifth);
      unroll<4>([&]<int pair>() __attribute__((always_inline)) {
        I raw[8];
        b.template rows_32<48 + 32 * pair>(raw);
        unroll<8>([&]<int q>() __attribute__((always_inline)) {
          p.template quad<Q5_K, 2 * pair, q>(
              S::bit_or(nibbles_low(raw[q]), bit_to_4<2 * pair>(fifth[q])));
          p.template quad<Q5_K, 2 * pair + 1, q>(
              S::bit_or(nibbles_high(raw[q]), bit_to_4<2 * pair + 1>(fifth[q])));
        });
      });
    }
  };

  struct Q6_K {
    static constexpr std::uint32_t kBytes = 210, kCols = 256, kSubs = 2;
    static constexpr bool kMin = false;
    template <class Out>
    HEARTH_INLINE static void block(const Rows& b, Out& p) {
      const F d = b.template half<208>();
      I scales[4];
      b.template rows_16<192>(scales);
      unroll<16>([&]<int g>() __attribute__((always_inline)) {
        const I top = S::template shl<24 - 8 * (g % 4)>(scales[g / 4]);
        put(p.scales, g, S::mul(d, S::to_float(S::template sar<24>(top))));
      });
      unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I high[8];
        b.template rows_32<128 + 32 * half>(high);
        const I pairs = S::set1(0x30303030U);
        // The nibbles of planes 0 and 2, then of 1 and 3.
        unroll<2>([&]<int part>() __attribute__((always_inline)) {
          I low[8];
          b.template rows_32<64 * half + 32 * part>(low);
          unroll<8>([&]<int q>() __attribute__((always_inline)) {
            const I h0 = S::bit_and(S::template shl<4 - 2 * part>(high[q]), pairs);
            const I h2 = S::bit_and(S::template shr<2 * part>(high[q]), pairs);
            p.template quad<Q6_K, 4 * half + part, q>(S::bit_or(nibbles_low(low[q]), h0));
            p.template quad<Q6_K, 4 * half + part + 2, q>(S::bit_or(nibbles_high(low[q]), h2));
          });
        });
      });
    }

    // Packed, the bits lie as tensor/arrange_q6_k.h has them.
    template <class Out>
    HEARTH_INLINE static void block(const Packed& b, Out& p) {
      const F d = b.template half<208>();
      unroll<16>([&]<int sub>() __attribute__((always_inline)) {
        put(p.scales, sub, S::mul(d, S::to_float(b.template signed_byte<192 + sub>())));
      });
      unroll<16>([&]<int sub>() __attribute__((always_inline)) {
        constexpr int kGroup = sub / 2;
        constexpr int kFirst = sub % 2 * 4;
        const I six = S::set1(0x3F3F3F3FU);
        I dwords[3];
        unroll<3>([&]<int k>() __attribute__((always_inline)) {
          dwords[k] = b.template dword<4 * (3 * sub + k)>();
          p.template quad<Q6_K, kGroup, kFirst + k>(S::bit_and(dwords[k], six));
        });
        const I top = S::bit_and(S::template shr<2>(dwords[0]), S::set1(0x30303030U));
        const I middle = S::bit_and(S::template shr<4>(dwords[1]), S::set1(0x0C0C0C0CU));
        const I low = S::bit_and(S::template shr<6>(dwords[2]), S::set1(0x03030303U));
        p.template quad<Q6_K, kGroup, kFirst + 3>(S::bit_or(S::bit_or(top, middle), low));
      });
    }
  };

  struct Q2_K {
    static constexpr std::uint32_t kBytes = 84, kCols = 256, kSubs = 2;
    static constexpr bool kMin = true;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      const I d_dmin = b.template dword<80>();
      const F d = S::half_low(d_dmin);
      const F dmin = S::half_high(d_dmin);
      I scales[4];
      b.template rows_16<0>(scales);
      unroll<16>([&]<int g>() __attribute__((always_inline)) {
        put(p.scales, g, S::mul(d, field<8 * (g % 4)>(scales[g / 4], 15)));
        put(p.mins, g, S::mul(dmin, field<8 * (g % 4) + 4>(scales[g / 4], 15)));
      });
      unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I raw[8];
        b.template rows_32<16 + 32 * half>(raw);
        unroll<4>([&]<int plane>() __attribute__((always_inline)) {
          unroll<8>([&]<int q>() __attribute__((always_inline)) {
            p.template quad<Q2_K, 4 * half + plane, q>(
                S::bit_and(S::template shr<2 * plane>(raw[q]), S::set1(0x03030303U)));
          });
        });
      });
    }
  };

  struct Q3_K {
    static constexpr std::uint32_t kBytes = 110, kCols = 256, kSubs = 2;
    static constexpr bool kMin = false;
    template <class In, class Out>
    HEARTH_INLINE static void block(const In& b, Out& p) {
      put_scales(b, p);
      I third[8];
      b.template rows_32<0>(third);
      unroll<2>([&]<int half>() __attribute__((always_inline)) {
        I raw[8];
        b.template rows_32<32 + 32 * half>(raw);
        unroll<4>([&]<int plane>() __attribute__((always_inline)) {
          unroll<8>([&]<int q>() __attribute__((always_inline)) {
            const I two = S::bit_and(S::template shr<2 * plane>(raw[q]), S::set1(0x03030303U));
            const I bit = S::template shr<4 * half + plane>(third[q]);
            const I four = S::template shl<2>(S::bit_and(bit, S::set1(0x01010101U)));
            p.template quad<Q3_K, 4 * half + plane, q>(S::bit_or(two, four));
          });
        });
      });
    }
    // Low nibbles of 16 scales in the dwords a0 and a1, their high pairs in t.
    template <class In, class Out>
    HEARTH_INLINE static void put_scales(const In& b, Out& p) {
      const F d = b.template half<108>();
      const I a0 = b.template dword<96>();
      const I a1 = b.template dword<100>();
      const I t = b.template dword<104>();
      const I pairs = S::set1(0x30303030U);
      const I s[4] = {S::bit_or(nibbles_low(a0), S::bit_and(S::template shl<4>(t), pairs)),
                      S::bit_or(nibbles_low(a1), S::bit_and(S::template shl<2>(t), pairs)),
                      S::bit_or(nibbles_high(a0), S::bit_and(t, pairs)),
                      S::bit_or(nibbles_high(a1), S::bit_and(S::template shr<2>(t), pairs))};
      unroll<16>([&]<int g>() __attribute__((always_inline)) {
        const F scale = field<8 * (g % 4)>(s[g / 4], 255);
        put(p.scales, g, S::mul(d, S::sub(scale, S::set1_f(32.0F))));
      });
    }
  };

  // The blocks of a panel, one after another.
  template <class Type>
  HEARTH_INLINE static Rows next(const Rows& b) {
    return {b.at + Type::kBytes, b.stride};
  }
  template <class Type>
  HEARTH_INLINE static Packed next(const Packed& b) {
    return {b.at + std::size_t{Type::kBytes} * kPanelRows};
  }

  template <class Type, class In>
  HEARTH_INLINE static void unpack(In block, std::uint32_t n_blocks, const Panel& panel,
                                   std::uintptr_t ahead) {
    constexpr std::size_t kBlockScales =
        std::size_t{Type::kCols / kGroupCols} * Type::kSubs * kPanelRows;
    Store at = {panel.quads, panel.scales, panel.mins, ahead};
    for (std::uint32_t i = 0; i < n_blocks; ++i) {
      Type::block(block, at);
      block = next<Type>(block);
      at.quads += std::size_t{Type::kCols} * kPanelRows;
      at.scales += kBlockScales;
      at.mins += kBlockScales;
      at.ahead += std::size_t{Type::kBytes} * kPanelRows;
    }
  }

  // One token's sums over a panel's rows: what Int8Product (int8_product.h) does with one token, to
  // the bit.
  template <class Type, class In>
  HEARTH_INLINE static void multiply(In block, const PanelDot& d) {
    constexpr std::uint32_t kGroups = Type::kCols / kGroupCols;
    constexpr std::uint32_t kSubsAll = kGroups * Type::kSubs;
    alignas(64) float scales[kSubsAll * kPanelRows];
    alignas(64) float mins[Type::kMin ? kSubsAll * kPanelRows : 16];
    const float* scale = d.scale;
    const float* scaled_sum = d.scaled_sum;
    Multiply<std::is_same_v<In, Packed>> at = {
        d.q, d.start, scales, mins, d.ahead, reinterpret_cast<std::uintptr_t>(d.block) + kNearBytes,
        {}};
    F sum = S::load_f(d.y);
    for (std::uint32_t i = 0; i < d.n_blocks; ++i) {
      Type::block(block, at);
      unroll<kSubsAll>([&]<int sub>() __attribute__((always_inline)) {
        const F ws = S::load_f(scales + sub * kPanelRows);
        const F magic = S::mul(ws, S::set1_f(-kMagic));
        const F scaled = S::fma(S::as_float(at.n[sub]), ws, magic);
        sum = S::fma(scaled, S::set1_f(scale[sub / Type::kSubs]), sum);
        if constexpr (Type::kMin) {
          sum = S::fnma(S::load_f(mins + sub * kPanelRows), S::set1_f(scaled_sum[sub]), sum);
        }
      });
      block = next<Type>(block);
      scale += kGroups;
      if constexpr (Type::kMin) scaled_sum += kSubsAll;
      at.q += Type::kCols;
      at.start += kSubsAll;
      at.ahead += std::size_t{Type::kBytes} * kPanelRows;
      at.near += std::size_t{Type::kBytes} * kPanelRows;
    }
    S::store_f(d.y, sum);
  }

  template <class Type>
  static void unpack_rows(const std::byte* block, std::size_t row_stride, std::uint32_t n_blocks,
                          const Panel& panel, std::uintptr_t ahead) {
    unpack<Type>(Rows{block, row_stride}, n_blocks, panel, ahead);
  }
  template <class Type>
  static void unpack_packed(const std::byte* block, std::size_t, std::uint32_t n_blocks,
                            const Panel& panel, std::uintptr_t ahead) {
    unpack<Type>(Packed{block}, n_blocks, panel, ahead);
  }
  template <class Type>
  static void dot_rows(const PanelDot& d) {
    multiply<Type>(Rows{d.block, d.row_stride}, d);
  }
  template <class Type>
  static void dot_packed(const PanelDot& d) {
    multiply<Type>(Packed{d.block}, d);
  }

  // `dot` is null where a block's sums do not fit the registers, and is not even compiled there.
  template <class Type>
  static constexpr PanelFunctions functions(WeightLayout layout) {
    const bool is_packed = layout == WeightLayout::kPacked;
    PanelFunctions made{is_packed ? unpack_packed<Type> : unpack_rows<Type>, nullptr};
    if constexpr (S::kKeepsSums) made.dot = is_packed ? dot_packed<Type> : dot_rows<Type>;
    return made;
  }

  static PanelFunctions find(DType type, WeightLayout layout) {
    switch (type) {
      case DType::kQ4_0:
        return functions<Q4_0>(layout);
      case DType::kQ4_1:
        return functions<Q4_1>(layout);
      case DType::kQ5_0:
        return functions<Q5_0>(layout);
      case DType::kQ5_1:
        return functions<Q5_1>(layout);
      case DType::kQ8_0:
        return functions<Q8_0>(layout);
      case DType::kQ2_K:
        return functions<Q2_K>(layout);
      case DType::kQ3_K:
        return functions<Q3_K>(layout);
      case DType::kQ4_K:
        return functions<Q4_K>(layout);
      case DType::kQ5_K:
        return functions<Q5_K>(layout);
      case DType::kQ6_K:
        return functions<Q6_K>(layout);
      case DType::kIQ4_NL:
        return functions<IQ4_NL>(layout);
      case DType::kIQ4_XS:
        return functions<IQ4_XS>(layout);
      case DType::kMXFP4:
        return functions<MXFP4>(layout);
      case DType::kIQ2_XXS:
        return functions<typename Grids::IQ2_XXS>(layout);
      case DType::kIQ2_XS:
        return functions<typename Grids::IQ2_XS>(layout);
      case DType::kIQ2_S:
        return functions<typename Grids::IQ2_S>(layout);
      case DType::kIQ3_XXS:
        return functions<typename Grids::IQ3_XXS>(layout);
      case DType::kIQ3_S:
        return functions<typename Grids::IQ3_S>(layout);
      case DType::kIQ1_S:
        return functions<typename Grids::IQ1_S>(layout);
      case DType::kIQ1_M:
        return functions<typename Grids::IQ1_M>(layout);
      case DType::kTQ1_0:
        return functions<typename Grids::TQ1_0>(layout);
      case DType::kTQ2_0:
        return functions<typename Grids::TQ2_0>(layout);
      default:
        return {nullptr, nullptr};
    }
  }
};

}  // namespace hearth::tensor

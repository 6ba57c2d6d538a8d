// Sixteen lanes as one AVX-512 register.  See simd_scalar.h for the contract of each function.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::tensor::avx512 {

struct Simd {
  using I = __m512i;
  using F = __m512;

  // 2 x 6 accumulators of integers and as many of floats leave 8 registers for operands.
  static constexpr std::uint32_t kTileTokens = 6;
  static constexpr std::uint32_t kTilePanels = 2;
  static constexpr std::uint32_t kDotRows = 8;
  static constexpr std::uint32_t kDotTokens = 3;
  static constexpr bool kKeepsSums = true;  // 16 registers of sums and their operands.
  static constexpr bool kWideIsFree = true;
  static constexpr std::uint32_t kProbeChains = 12;

  template <class Fn>
  HEARTH_INLINE static auto step(const Fn& fn) {
    return fn();
  }

  HEARTH_INLINE static I load(const void* p) { return _mm512_loadu_si512(p); }
  HEARTH_INLINE static void store(void* p, I v) { _mm512_storeu_si512(p, v); }
  HEARTH_INLINE static I set1(std::uint32_t v) { return _mm512_set1_epi32(static_cast<int>(v)); }
  HEARTH_INLINE static I broadcast32(const void* p) {
    int v;
    __builtin_memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
  }
  HEARTH_INLINE static I bit_and(I a, I b) { return _mm512_and_si512(a, b); }
  HEARTH_INLINE static I bit_or(I a, I b) { return _mm512_or_si512(a, b); }
  HEARTH_INLINE static I bit_xor(I a, I b) { return _mm512_xor_si512(a, b); }
  template <int kBits>
  HEARTH_INLINE static I shl(I a) {
    return _mm512_slli_epi32(a, kBits);
  }
  template <int kBits>
  HEARTH_INLINE static I shr(I a) {
    return _mm512_srli_epi32(a, kBits);
  }
  template <int kBits>
  HEARTH_INLINE static I sar(I a) {
    return _mm512_srai_epi32(a, kBits);
  }
  HEARTH_INLINE static I add32(I a, I b) { return _mm512_add_epi32(a, b); }
  HEARTH_INLINE static I sub32(I a, I b) { return _mm512_sub_epi32(a, b); }
  HEARTH_INLINE static I min_u8(I a, I b) { return _mm512_min_epu8(a, b); }
  HEARTH_INLINE static I max_u32(I a, I b) { return _mm512_max_epu32(a, b); }
  HEARTH_INLINE static I table16(const void* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  HEARTH_INLINE static I lookup(I table, I index) { return _mm512_shuffle_epi8(table, index); }
  HEARTH_INLINE static I pick32(const std::uint32_t* table, I index) {
    return _mm512_i32gather_epi32(index, table, 4);
  }
  template <int kByte>
  HEARTH_INLINE static I replicate_byte(I a) {
    const I index = _mm512_broadcast_i32x4(_mm_setr_epi8(
        kByte, kByte, kByte, kByte, kByte + 4, kByte + 4, kByte + 4, kByte + 4, kByte + 8,
        kByte + 8, kByte + 8, kByte + 8, kByte + 12, kByte + 12, kByte + 12, kByte + 12));
    return _mm512_shuffle_epi8(a, index);
  }
  template <int kByte>
  HEARTH_INLINE static I pick_byte(I a) {
    const I index = _mm512_broadcast_i32x4(_mm_setr_epi8(
        kByte, -1, -1, -1, kByte + 4, -1, -1, -1, kByte + 8, -1, -1, -1, kByte + 12, -1, -1, -1));
    return _mm512_shuffle_epi8(a, index);
  }
  template <bool kWide>
  HEARTH_INLINE static I dot4(I sum, I u, I s) {
    return _mm512_dpbusd_epi32(sum, u, s);
  }

  HEARTH_INLINE static F load_f(const float* p) { return _mm512_loadu_ps(p); }
  HEARTH_INLINE static void store_f(float* p, F v) { _mm512_storeu_ps(p, v); }
  HEARTH_INLINE static F load_f_part(const float* p, std::size_t n) {
    return _mm512_maskz_loadu_ps(low_lanes(n), p);
  }
  HEARTH_INLINE static void store_f_part(float* p, std::size_t n, F v) {
    _mm512_mask_storeu_ps(p, low_lanes(n), v);
  }
  HEARTH_INLINE static F set1_f(float v) { return _mm512_set1_ps(v); }
  template <int kParts>
  HEARTH_INLINE static F set_parts_f(const float* p, std::size_t stride) {
    static_assert(kParts == 2 || kParts == 4);
    constexpr int kLanes = 16 / kParts;
    F r = _mm512_set1_ps(p[0]);
    for (int part = 1; part < kParts; ++part) {
      const auto lanes = static_cast<__mmask16>(low_lanes(kLanes) << (part * kLanes));
      r = _mm512_mask_broadcastss_ps(r, lanes,
                                     _mm_load_ss(p + static_cast<std::size_t>(part) * stride));
    }
    return r;
  }
  HEARTH_INLINE static F add(F a, F b) { return _mm512_add_ps(a, b); }
  HEARTH_INLINE static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  HEARTH_INLINE static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  HEARTH_INLINE static F div(F a, F b) { return _mm512_div_ps(a, b); }
  HEARTH_INLINE static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  HEARTH_INLINE static F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  HEARTH_INLINE static F max(F a, F b) { return _mm512_max_ps(a, b); }
  HEARTH_INLINE static F min(F a, F b) { return _mm512_min_ps(a, b); }
  HEARTH_INLINE static F zero_if_less(F v, F a, F b) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), v);
  }
  HEARTH_INLINE static F as_float(I a) { return _mm512_castsi512_ps(a); }
  HEARTH_INLINE static I as_bits(F a) { return _mm512_castps_si512(a); }
  HEARTH_INLINE static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  HEARTH_INLINE static I to_int(F a) { return _mm512_cvtps_epi32(a); }
  HEARTH_INLINE static void store_i8(std::int8_t* p, I a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a));
  }
  HEARTH_INLINE static F half_low(I a) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }
  HEARTH_INLINE static F half_high(I a) { return half_low(shr<16>(a)); }
  HEARTH_INLINE static I load_u8(const void* p) { return _mm512_cvtepu8_epi32(load_128(p)); }
  HEARTH_INLINE static I load_i8(const void* p) { return _mm512_cvtepi8_epi32(load_128(p)); }
  HEARTH_INLINE static F load_f16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  HEARTH_INLINE static void store_f16(void* p, F v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  HEARTH_INLINE static F load_bf16(const void* p) {
    return as_float(
        shl<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)))));
  }
  HEARTH_INLINE static float sum(F a) {
    const __m256 by8 = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
  }
  // Halves, quarters, pairs and singles are added as in `sum`, each step joining two vectors into
  // one; the order of loads makes the last step's lanes come out in order.
  HEARTH_INLINE static F sum16(const float* p) {
    F by8[8];
    for (int i = 0; i < 8; ++i) {
      const F a = _mm512_loadu_ps(p + 16 * sum16_lane(i));
      const F b = _mm512_loadu_ps(p + 16 * sum16_lane(i + 8));
      by8[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0b01'00'01'00),
                             _mm512_shuffle_f32x4(a, b, 0b11'10'11'10));
    }
    F by4[4];
    for (int i = 0; i < 4; ++i) {
      by4[i] = _mm512_add_ps(_mm512_shuffle_f32x4(by8[i], by8[i + 4], 0b10'00'10'00),
                             _mm512_shuffle_f32x4(by8[i], by8[i + 4], 0b11'01'11'01));
    }
    F by2[2];
    for (int i = 0; i < 2; ++i) {
      by2[i] = _mm512_add_ps(_mm512_shuffle_ps(by4[i], by4[i + 2], 0b01'00'01'00),
                             _mm512_shuffle_ps(by4[i], by4[i + 2], 0b11'10'11'10));
    }
    return _mm512_add_ps(_mm512_shuffle_ps(by2[0], by2[1], 0b10'00'10'00),
                         _mm512_shuffle_ps(by2[0], by2[1], 0b11'01'11'01));
  }
  HEARTH_INLINE static float max_lane(F a) {
    const __m256 by8 = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }
  HEARTH_INLINE static std::uint32_t max_u32_lane(I a) { return _mm512_reduce_max_epu32(a); }
  // Wraps around, which _mm512_reduce_add_epi32 leaves undefined.
  HEARTH_INLINE static std::int32_t sum32(I a) {
    const __m256i by8 =
        _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti32x8_epi32(a, 1));
    const __m128i by4 =
        _mm_add_epi32(_mm256_castsi256_si128(by8), _mm256_extracti128_si256(by8, 1));
    const __m128i by2 = _mm_add_epi32(by4, _mm_shuffle_epi32(by4, 0b01'00'11'10));
    return _mm_cvtsi128_si32(_mm_add_epi32(by2, _mm_shuffle_epi32(by2, 0b10'11'00'01)));
  }

  HEARTH_INLINE static I gather32(const std::byte* base, std::size_t stride) {
    const I lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const I offsets = _mm512_mullo_epi32(lane, _mm512_set1_epi32(static_cast<int>(stride)));
    return _mm512_i32gather_epi32(offsets, base, 1);
  }

  // Four rows' 16 bytes per register part; two rounds of unpacking bring dword q of four rows
  // together in each part.
  HEARTH_INLINE static void load_rows_16(const std::byte* base, std::size_t stride, I* out) {
    I r[4];
    for (int i = 0; i < 4; ++i) {
      const std::byte* row = base + static_cast<std::size_t>(i) * stride;
      r[i] = _mm512_castsi128_si512(load_128(row));
      r[i] = _mm512_inserti32x4(r[i], load_128(row + 4 * stride), 1);
      r[i] = _mm512_inserti32x4(r[i], load_128(row + 8 * stride), 2);
      r[i] = _mm512_inserti32x4(r[i], load_128(row + 12 * stride), 3);
    }
    transpose_4x4(r, out);
  }

  // As above with 32 bytes: the first half of the rows lies in `a`, the second in `b`; the last
  // round picks the parts of each dword from both.
  HEARTH_INLINE static void load_rows_32(const std::byte* base, std::size_t stride, I* out) {
    I a[4];
    I b[4];
    for (int i = 0; i < 4; ++i) {
      const std::byte* row = base + static_cast<std::size_t>(i) * stride;
      a[i] = join(load_256(row), load_256(row + 4 * stride));
      b[i] = join(load_256(row + 8 * stride), load_256(row + 12 * stride));
    }
    I ta[4];
    I tb[4];
    transpose_4x4(a, ta);
    transpose_4x4(b, tb);
    for (int q = 0; q < 4; ++q) {
      out[q] = _mm512_shuffle_i32x4(ta[q], tb[q], 0b10'00'10'00);
      out[q + 4] = _mm512_shuffle_i32x4(ta[q], tb[q], 0b11'01'11'01);
    }
  }

 private:
  // Which of 16 vectors `sum16` must take i-th.
  static constexpr int sum16_lane(int i) {
    constexpr int kPart[4] = {0, 2, 1, 3};  // Of i / 4: the inverse of (0, 8, 4, 12).
    constexpr int kElement[4] = {0, 2, 1, 3};
    return 4 * kPart[i / 4] + kElement[i % 4];
  }
  HEARTH_INLINE static __mmask16 low_lanes(std::size_t n) {
    return static_cast<__mmask16>((1U << n) - 1U);
  }
  HEARTH_INLINE static __m128i load_128(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  HEARTH_INLINE static __m256i load_256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  HEARTH_INLINE static I join(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  HEARTH_INLINE static void transpose_4x4(const I* r, I* out) {
    const I t0 = _mm512_unpacklo_epi32(r[0], r[1]);
    const I t1 = _mm512_unpackhi_epi32(r[0], r[1]);
    const I t2 = _mm512_unpacklo_epi32(r[2], r[3]);
    const I t3 = _mm512_unpackhi_epi32(r[2], r[3]);
    out[0] = _mm512_unpacklo_epi64(t0, t2);
    out[1] = _mm512_unpackhi_epi64(t0, t2);
    out[2] = _mm512_unpacklo_epi64(t1, t3);
    out[3] = _mm512_unpackhi_epi64(t1, t3);
  }
};

}  // namespace hearth::tensor::avx512

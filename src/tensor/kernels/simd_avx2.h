// Sixteen lanes as two AVX2 registers.  See simd_scalar.h for the contract of each function.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::tensor::avx2 {

struct Simd {
  struct I {
    __m256i a, b;
  };
  struct F {
    __m256 a, b;
  };

  static constexpr std::uint32_t kTileTokens = 2;
  static constexpr std::uint32_t kTilePanels = 1;
  static constexpr std::uint32_t kDotRows = 3;
  static constexpr std::uint32_t kDotTokens = 2;
  static constexpr bool kKeepsSums = false;  // 16 registers of sums and their operands.
  static constexpr bool kWideIsFree = false;
  static constexpr std::uint32_t kProbeChains = 6;

  template <class Fn>
  HEARTH_INLINE static auto step(const Fn& fn) {
    return fn();
  }

  HEARTH_INLINE static I load(const void* p) { return {load_256(p), load_256(at(p, 32))}; }
  HEARTH_INLINE static void store(void* p, I v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), v.a);
    _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, v.b);
  }
  HEARTH_INLINE static I both(__m256i v) { return {v, v}; }
  HEARTH_INLINE static I set1(std::uint32_t v) {
    return both(_mm256_set1_epi32(static_cast<int>(v)));
  }
  HEARTH_INLINE static I broadcast32(const void* p) {
    int v;
    __builtin_memcpy(&v, p, 4);
    return both(_mm256_set1_epi32(v));
  }
  HEARTH_INLINE static I bit_and(I x, I y) {
    return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
  }
  HEARTH_INLINE static I bit_or(I x, I y) {
    return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
  }
  HEARTH_INLINE static I bit_xor(I x, I y) {
    return {_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)};
  }
  template <int kBits>
  HEARTH_INLINE static I shl(I x) {
    return {_mm256_slli_epi32(x.a, kBits), _mm256_slli_epi32(x.b, kBits)};
  }
  template <int kBits>
  HEARTH_INLINE static I shr(I x) {
    return {_mm256_srli_epi32(x.a, kBits), _mm256_srli_epi32(x.b, kBits)};
  }
  template <int kBits>
  HEARTH_INLINE static I sar(I x) {
    return {_mm256_srai_epi32(x.a, kBits), _mm256_srai_epi32(x.b, kBits)};
  }
  HEARTH_INLINE static I add32(I x, I y) {
    return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
  }
  HEARTH_INLINE static I sub32(I x, I y) {
    return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
  }
  HEARTH_INLINE static I min_u8(I x, I y) {
    return {_mm256_min_epu8(x.a, y.a), _mm256_min_epu8(x.b, y.b)};
  }
  HEARTH_INLINE static I max_u32(I x, I y) {
    return {_mm256_max_epu32(x.a, y.a), _mm256_max_epu32(x.b, y.b)};
  }
  HEARTH_INLINE static I table16(const void* p) {
    return both(_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p))));
  }
  HEARTH_INLINE static I lookup(I table, I index) {
    return {_mm256_shuffle_epi8(table.a, index.a), _mm256_shuffle_epi8(table.b, index.b)};
  }
  HEARTH_INLINE static I pick32(const std::uint32_t* table, I index) {
    std::uint32_t lanes[16];
    store(lanes, index);
    for (std::uint32_t& lane : lanes) lane = table[lane];
    return load(lanes);
  }
  template <int kByte>
  HEARTH_INLINE static I replicate_byte(I x) {
    const __m256i index = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        kByte, kByte, kByte, kByte, kByte + 4, kByte + 4, kByte + 4, kByte + 4, kByte + 8,
        kByte + 8, kByte + 8, kByte + 8, kByte + 12, kByte + 12, kByte + 12, kByte + 12));
    return lookup(x, both(index));
  }
  template <int kByte>
  HEARTH_INLINE static I pick_byte(I x) {
    return bit_and(shr<8 * kByte>(x), set1(255));
  }
  // vpmaddubsw saturates its sums of two products at 16 bits, which bytes up to 127 can't reach.
  // A wider byte is split into its low seven bits and its top bit, weighed 128 in the second step.
  template <bool kWide>
  HEARTH_INLINE static I dot4(I sum, I u, I s) {
    return {dot4_256<kWide>(sum.a, u.a, s.a), dot4_256<kWide>(sum.b, u.b, s.b)};
  }

  HEARTH_INLINE static F load_f(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  HEARTH_INLINE static void store_f(float* p, F v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
  }
  HEARTH_INLINE static F load_f_part(const float* p, std::size_t n) {
    float buffer[16] = {};
    __builtin_memcpy(buffer, p, n * sizeof(float));
    return load_f(buffer);
  }
  HEARTH_INLINE static void store_f_part(float* p, std::size_t n, F v) {
    float buffer[16];
    store_f(buffer, v);
    __builtin_memcpy(p, buffer, n * sizeof(float));
  }
  HEARTH_INLINE static F set1_f(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
  template <int kParts>
  HEARTH_INLINE static F set_parts_f(const float* p, std::size_t stride) {
    static_assert(kParts == 2 || kParts == 4);
    if constexpr (kParts == 2) {
      return {_mm256_set1_ps(p[0]), _mm256_set1_ps(p[stride])};
    } else {
      return {_mm256_set_m128(_mm_set1_ps(p[stride]), _mm_set1_ps(p[0])),
              _mm256_set_m128(_mm_set1_ps(p[3 * stride]), _mm_set1_ps(p[2 * stride]))};
    }
  }
  HEARTH_INLINE static F add(F x, F y) {
    return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
  }
  HEARTH_INLINE static F sub(F x, F y) {
    return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
  }
  HEARTH_INLINE static F mul(F x, F y) {
    return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
  }
  HEARTH_INLINE static F div(F x, F y) {
    return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
  }
  HEARTH_INLINE static F fma(F x, F y, F z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
  }
  HEARTH_INLINE static F fnma(F x, F y, F z) {
    return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
  }
  HEARTH_INLINE static F max(F x, F y) {
    return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
  }
  HEARTH_INLINE static F min(F x, F y) {
    return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
  }
  HEARTH_INLINE static F zero_if_less(F v, F x, F y) {
    return {_mm256_and_ps(v.a, _mm256_cmp_ps(x.a, y.a, _CMP_NLT_UQ)),
            _mm256_and_ps(v.b, _mm256_cmp_ps(x.b, y.b, _CMP_NLT_UQ))};
  }
  HEARTH_INLINE static F as_float(I x) {
    return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
  }
  HEARTH_INLINE static I as_bits(F x) {
    return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
  }
  HEARTH_INLINE static F to_float(I x) {
    return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
  }
  HEARTH_INLINE static I to_int(F x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
  HEARTH_INLINE static void store_i8(std::int8_t* p, I x) {
    const __m256i words = in_order(_mm256_packs_epi32(x.a, x.b));
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }
  HEARTH_INLINE static F half_low(I x) {
    const I low = bit_and(x, set1(0xFFFF));
    const __m256i words = in_order(_mm256_packus_epi32(low.a, low.b));
    return {_mm256_cvtph_ps(_mm256_castsi256_si128(words)),
            _mm256_cvtph_ps(_mm256_extracti128_si256(words, 1))};
  }
  HEARTH_INLINE static F half_high(I x) { return half_low(shr<16>(x)); }
  HEARTH_INLINE static I load_u8(const void* p) {
    return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))),
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(at(p, 8))))};
  }
  HEARTH_INLINE static I load_i8(const void* p) {
    return {_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))),
            _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(at(p, 8))))};
  }
  HEARTH_INLINE static F load_f16(const void* p) {
    return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(at(p, 16)))};
  }
  HEARTH_INLINE static void store_f16(void* p, F v) {
    _mm_storeu_si128(static_cast<__m128i*>(p), _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(static_cast<__m128i*>(p) + 1, _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
  }
  HEARTH_INLINE static F load_bf16(const void* p) {
    return as_float(
        shl<16>({_mm256_cvtepu16_epi32(load_128(p)), _mm256_cvtepu16_epi32(load_128(at(p, 16)))}));
  }
  HEARTH_INLINE static float sum(F x) {
    const __m256 by8 = _mm256_add_ps(x.a, x.b);
    const __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
  }
  HEARTH_INLINE static F sum16(const float* p) {
    float sums[16];
    for (int i = 0; i < 16; ++i) sums[i] = sum(load_f(p + 16 * i));
    return load_f(sums);
  }
  HEARTH_INLINE static float max_lane(F x) {
    const __m256 by8 = _mm256_max_ps(x.a, x.b);
    const __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    const __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
  }
  HEARTH_INLINE static std::uint32_t max_u32_lane(I x) {
    const __m256i by8 = _mm256_max_epu32(x.a, x.b);
    const __m128i by4 =
        _mm_max_epu32(_mm256_castsi256_si128(by8), _mm256_extracti128_si256(by8, 1));
    const __m128i by2 = _mm_max_epu32(by4, _mm_shuffle_epi32(by4, 0b01'00'11'10));
    const __m128i by1 = _mm_max_epu32(by2, _mm_shuffle_epi32(by2, 0b10'11'00'01));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(by1));
  }
  HEARTH_INLINE static std::int32_t sum32(I x) {
    const __m256i by8 = _mm256_add_epi32(x.a, x.b);
    const __m128i by4 =
        _mm_add_epi32(_mm256_castsi256_si128(by8), _mm256_extracti128_si256(by8, 1));
    const __m128i by2 = _mm_add_epi32(by4, _mm_shuffle_epi32(by4, 0b01'00'11'10));
    return _mm_cvtsi128_si32(_mm_add_epi32(by2, _mm_shuffle_epi32(by2, 0b10'11'00'01)));
  }

  // Scalar loads: vpgatherdd is no faster on most AVX2 parts, and far slower under some microcode.
  HEARTH_INLINE static I gather32(const std::byte* base, std::size_t stride) {
    std::uint32_t lanes[16];
    for (std::size_t r = 0; r < 16; ++r) __builtin_memcpy(&lanes[r], base + r * stride, 4);
    return load(lanes);
  }
  HEARTH_INLINE static void load_rows_16(const std::byte* base, std::size_t stride, I* out) {
    __m256i r[8];
    for (std::size_t i = 0; i < 4; ++i) {
      const std::byte* row = base + i * stride;
      r[i] = _mm256_set_m128i(load_128(row + 4 * stride), load_128(row));
      r[i + 4] = _mm256_set_m128i(load_128(row + 12 * stride), load_128(row + 8 * stride));
    }
    __m256i low[4];
    __m256i high[4];
    transpose_4x4(r, low);
    transpose_4x4(r + 4, high);
    for (int q = 0; q < 4; ++q) out[q] = {low[q], high[q]};
  }
  HEARTH_INLINE static void load_rows_32(const std::byte* base, std::size_t stride, I* out) {
    load_rows_16(base, stride, out);
    load_rows_16(base + 16, stride, out + 4);
  }

 private:
  HEARTH_INLINE static const void* at(const void* p, std::size_t offset) {
    return static_cast<const std::byte*>(p) + offset;
  }
  HEARTH_INLINE static __m128i load_128(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  HEARTH_INLINE static __m256i load_256(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  // Packing works within 128-bit halves; this puts the quarters back in order.
  HEARTH_INLINE static __m256i in_order(__m256i packed) {
    return _mm256_permute4x64_epi64(packed, 0b11'01'10'00);
  }
  template <bool kWide>
  HEARTH_INLINE static __m256i dot4_256(__m256i sum, __m256i u, __m256i s) {
    const __m256i ones = _mm256_set1_epi16(1);
    if constexpr (!kWide) {
      return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), ones));
    }
    const __m256i top_bit = _mm256_set1_epi8(1);
    const __m256i low = _mm256_and_si256(u, _mm256_set1_epi8(127));
    const __m256i top = _mm256_and_si256(_mm256_srli_epi16(u, 7), top_bit);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(low, s), ones));
    return _mm256_add_epi32(
        sum, _mm256_madd_epi16(_mm256_maddubs_epi16(top, s), _mm256_set1_epi16(128)));
  }
  HEARTH_INLINE static void transpose_4x4(const __m256i* r, __m256i* out) {
    const __m256i t0 = _mm256_unpacklo_epi32(r[0], r[1]);
    const __m256i t1 = _mm256_unpackhi_epi32(r[0], r[1]);
    const __m256i t2 = _mm256_unpacklo_epi32(r[2], r[3]);
    const __m256i t3 = _mm256_unpackhi_epi32(r[2], r[3]);
    out[0] = _mm256_unpacklo_epi64(t0, t2);
    out[1] = _mm256_unpackhi_epi64(t0, t2);
    out[2] = _mm256_unpacklo_epi64(t1, t3);
    out[3] = _mm256_unpackhi_epi64(t1, t3);
  }
};

}  // namespace hearth::tensor::avx2

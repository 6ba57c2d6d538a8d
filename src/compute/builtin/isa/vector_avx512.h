// Vectors of AVX-512, as the loops of this folder see them (vector_scalar.h explains the names).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::compute::avx512 {

struct F32 {
  using T = float;
  using V = __m512;
  using M = __mmask16;
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 8;
  static constexpr int kTileVectors = 3;

  HEARTH_INLINE static V zero() { return _mm512_setzero_ps(); }
  HEARTH_INLINE static V set1(float x) { return _mm512_set1_ps(x); }
  HEARTH_INLINE static V load(const float* p) { return _mm512_loadu_ps(p); }
  HEARTH_INLINE static void store(float* p, V v) { _mm512_storeu_ps(p, v); }
  HEARTH_INLINE static void stream(float* p, V v) { _mm512_stream_ps(p, v); }
  HEARTH_INLINE static void fence() { _mm_sfence(); }
  HEARTH_INLINE static M first(std::int64_t n) {
    return static_cast<M>((1U << static_cast<unsigned>(n)) - 1);
  }
  HEARTH_INLINE static V load_part(const float* p, std::int64_t n) {
    return _mm512_maskz_loadu_ps(first(n), p);
  }
  HEARTH_INLINE static void store_part(float* p, std::int64_t n, V v) {
    _mm512_mask_storeu_ps(p, first(n), v);
  }
  HEARTH_INLINE static V add(V a, V b) { return _mm512_add_ps(a, b); }
  HEARTH_INLINE static V sub(V a, V b) { return _mm512_sub_ps(a, b); }
  HEARTH_INLINE static V mul(V a, V b) { return _mm512_mul_ps(a, b); }
  HEARTH_INLINE static V div(V a, V b) { return _mm512_div_ps(a, b); }
  HEARTH_INLINE static V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
  HEARTH_INLINE static V min(V a, V b) { return _mm512_min_ps(a, b); }
  HEARTH_INLINE static V max(V a, V b) { return _mm512_max_ps(a, b); }
  HEARTH_INLINE static V round(V a) { return _mm512_roundscale_ps(a, 8); }
  HEARTH_INLINE static M is_nan(V a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
  HEARTH_INLINE static M less(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  HEARTH_INLINE static M join(M a, M b) { return static_cast<M>(a | b); }
  HEARTH_INLINE static bool any(M m) { return m != 0; }
  HEARTH_INLINE static V select(M m, V yes, V no) { return _mm512_mask_mov_ps(no, m, yes); }
  // 2^n for whole n from -126 to 127.
  HEARTH_INLINE static V power_of_two(V n) {
    const __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
  }
};

struct F64 {
  using T = double;
  using V = __m512d;
  using M = __mmask8;
  static constexpr int kLanes = 8;
  static constexpr int kTileRows = 8;
  static constexpr int kTileVectors = 3;

  HEARTH_INLINE static V zero() { return _mm512_setzero_pd(); }
  HEARTH_INLINE static V set1(double x) { return _mm512_set1_pd(x); }
  HEARTH_INLINE static V load(const double* p) { return _mm512_loadu_pd(p); }
  HEARTH_INLINE static V load(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
  HEARTH_INLINE static void store(double* p, V v) { _mm512_storeu_pd(p, v); }
  HEARTH_INLINE static void stream(double* p, V v) { _mm512_stream_pd(p, v); }
  HEARTH_INLINE static void fence() { _mm_sfence(); }
  HEARTH_INLINE static M first(std::int64_t n) {
    return static_cast<M>((1U << static_cast<unsigned>(n)) - 1);
  }
  HEARTH_INLINE static V load_part(const double* p, std::int64_t n) {
    return _mm512_maskz_loadu_pd(first(n), p);
  }
  HEARTH_INLINE static void store_part(double* p, std::int64_t n, V v) {
    _mm512_mask_storeu_pd(p, first(n), v);
  }
  HEARTH_INLINE static V add(V a, V b) { return _mm512_add_pd(a, b); }
  HEARTH_INLINE static V sub(V a, V b) { return _mm512_sub_pd(a, b); }
  HEARTH_INLINE static V mul(V a, V b) { return _mm512_mul_pd(a, b); }
  HEARTH_INLINE static V fma(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }
  HEARTH_INLINE static V fms(V a, V b, V c) { return _mm512_fmsub_pd(a, b, c); }
  HEARTH_INLINE static V min(V a, V b) { return _mm512_min_pd(a, b); }
  HEARTH_INLINE static V max(V a, V b) { return _mm512_max_pd(a, b); }
  HEARTH_INLINE static M is_nan(V a) { return _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q); }
  HEARTH_INLINE static M join(M a, M b) { return static_cast<M>(a | b); }
  HEARTH_INLINE static bool any(M m) { return m != 0; }
  HEARTH_INLINE static V left_of(const double*, V before, V here) {
    return _mm512_castsi512_pd(
        _mm512_alignr_epi64(_mm512_castpd_si512(here), _mm512_castpd_si512(before), 7));
  }
  HEARTH_INLINE static V right_of(const double*, V here, V after) {
    return _mm512_castsi512_pd(
        _mm512_alignr_epi64(_mm512_castpd_si512(after), _mm512_castpd_si512(here), 1));
  }
  // Lanes whose number is odd (`parity` 1) or even (0), of those before n.
  HEARTH_INLINE static void store_parity(double* p, int parity, std::int64_t n, V v) {
    const unsigned every_second = parity == 0 ? 0x55U : 0xAAU;
    _mm512_mask_storeu_pd(p, static_cast<M>(every_second & first(n)), v);
  }
};

}  // namespace hearth::compute::avx512

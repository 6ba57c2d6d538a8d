// Vectors of AVX2 and FMA, as the loops of this folder see them (vector_scalar.h explains the
// names).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::compute::avx2 {

// All bits set in the first n lanes.
HEARTH_INLINE __m256i first_32(std::int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
HEARTH_INLINE __m256i first_64(std::int64_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}

struct F32 {
  using T = float;
  using V = __m256;
  using M = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 3;

  HEARTH_INLINE static V zero() { return _mm256_setzero_ps(); }
  HEARTH_INLINE static V set1(float x) { return _mm256_set1_ps(x); }
  HEARTH_INLINE static V load(const float* p) { return _mm256_loadu_ps(p); }
  HEARTH_INLINE static void store(float* p, V v) { _mm256_storeu_ps(p, v); }
  HEARTH_INLINE static void stream(float* p, V v) { _mm256_stream_ps(p, v); }
  HEARTH_INLINE static void fence() { _mm_sfence(); }
  HEARTH_INLINE static V load_part(const float* p, std::int64_t n) {
    return _mm256_maskload_ps(p, first_32(n));
  }
  HEARTH_INLINE static void store_part(float* p, std::int64_t n, V v) {
    _mm256_maskstore_ps(p, first_32(n), v);
  }
  HEARTH_INLINE static V add(V a, V b) { return _mm256_add_ps(a, b); }
  HEARTH_INLINE static V sub(V a, V b) { return _mm256_sub_ps(a, b); }
  HEARTH_INLINE static V mul(V a, V b) { return _mm256_mul_ps(a, b); }
  HEARTH_INLINE static V div(V a, V b) { return _mm256_div_ps(a, b); }
  HEARTH_INLINE static V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
  HEARTH_INLINE static V min(V a, V b) { return _mm256_min_ps(a, b); }
  HEARTH_INLINE static V max(V a, V b) { return _mm256_max_ps(a, b); }
  HEARTH_INLINE static V round(V a) { return _mm256_round_ps(a, 8); }
  HEARTH_INLINE static M is_nan(V a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
  HEARTH_INLINE static M less(V a, V b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  HEARTH_INLINE static M join(M a, M b) { return _mm256_or_ps(a, b); }
  HEARTH_INLINE static bool any(M m) { return _mm256_movemask_ps(m) != 0; }
  HEARTH_INLINE static V select(M m, V yes, V no) { return _mm256_blendv_ps(no, yes, m); }
  HEARTH_INLINE static V power_of_two(V n) {
    const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
  }
};

struct F64 {
  using T = double;
  using V = __m256d;
  using M = __m256d;
  static constexpr int kLanes = 4;
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 3;

  HEARTH_INLINE static V zero() { return _mm256_setzero_pd(); }
  HEARTH_INLINE static V set1(double x) { return _mm256_set1_pd(x); }
  HEARTH_INLINE static V load(const double* p) { return _mm256_loadu_pd(p); }
  HEARTH_INLINE static V load(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  HEARTH_INLINE static void store(double* p, V v) { _mm256_storeu_pd(p, v); }
  HEARTH_INLINE static void stream(double* p, V v) { _mm256_stream_pd(p, v); }
  HEARTH_INLINE static void fence() { _mm_sfence(); }
  HEARTH_INLINE static V load_part(const double* p, std::int64_t n) {
    return _mm256_maskload_pd(p, first_64(n));
  }
  HEARTH_INLINE static void store_part(double* p, std::int64_t n, V v) {
    _mm256_maskstore_pd(p, first_64(n), v);
  }
  HEARTH_INLINE static V add(V a, V b) { return _mm256_add_pd(a, b); }
  HEARTH_INLINE static V sub(V a, V b) { return _mm256_sub_pd(a, b); }
  HEARTH_INLINE static V mul(V a, V b) { return _mm256_mul_pd(a, b); }
  HEARTH_INLINE static V fma(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
  HEARTH_INLINE static V fms(V a, V b, V c) { return _mm256_fmsub_pd(a, b, c); }
  HEARTH_INLINE static V min(V a, V b) { return _mm256_min_pd(a, b); }
  HEARTH_INLINE static V max(V a, V b) { return _mm256_max_pd(a, b); }
  HEARTH_INLINE static M is_nan(V a) { return _mm256_cmp_pd(a, a, _CMP_UNORD_Q); }
  HEARTH_INLINE static M join(M a, M b) { return _mm256_or_pd(a, b); }
  HEARTH_INLINE static bool any(M m) { return _mm256_movemask_pd(m) != 0; }
  HEARTH_INLINE static V left_of(const double* at, V, V) { return load(at - 1); }
  HEARTH_INLINE static V right_of(const double* at, V, V) { return load(at + 1); }
  HEARTH_INLINE static void store_parity(double* p, int parity, std::int64_t n, V v) {
    const __m256i every_second =
        parity == 0 ? _mm256_setr_epi64x(-1, 0, -1, 0) : _mm256_setr_epi64x(0, -1, 0, -1);
    _mm256_maskstore_pd(p, _mm256_and_si256(every_second, first_64(n)), v);
  }
};

}  // namespace hearth::compute::avx2

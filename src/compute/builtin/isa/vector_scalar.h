// Vectors of one lane: plain C++ with the operations of the instruction sets, in their order.
//
// The loops of this folder are templates on one of these classes, for float (F32) and double (F64):
//   load, store      any address; load_part and store_part touch the first n lanes alone
//   stream           past the caches, to an address that is a multiple of a whole vector; `fence`
//                    orders such stores before what follows
//   fma, fms         a * b + c and a * b - c, rounded once: here a call of the C library, so that all
//                    instruction sets make the same bits
//   min, max         the second operand if either is a NaN, as the processor has it
//   left_of          the vector a lane to the left of the one at an address: of it and the one before,
//                    or loaded, whichever is faster; right_of, of it and the one after
//   M, is_nan, less  a lane's truth, joined with `join`, asked with `any`, used by `select`
// kTileRows and kTileVectors are the tile of a product that fits the registers: so many sums, and as
// many vectors of b and one of a beside them.
#pragma once

#include <bit>
#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::compute::scalar {

template <class Number>
struct Lane {
  using T = Number;
  using V = Number;
  using M = bool;
  static constexpr int kLanes = 1;
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 3;

  HEARTH_INLINE static V zero() { return 0; }
  HEARTH_INLINE static V set1(T x) { return x; }
  HEARTH_INLINE static V load(const T* p) { return *p; }
  HEARTH_INLINE static void store(T* p, V v) { *p = v; }
  HEARTH_INLINE static void stream(T* p, V v) { *p = v; }
  HEARTH_INLINE static void fence() {}
  HEARTH_INLINE static V load_part(const T* p, std::int64_t n) { return n > 0 ? *p : 0; }
  HEARTH_INLINE static void store_part(T* p, std::int64_t n, V v) {
    if (n > 0) *p = v;
  }
  HEARTH_INLINE static V add(V a, V b) { return a + b; }
  HEARTH_INLINE static V sub(V a, V b) { return a - b; }
  HEARTH_INLINE static V mul(V a, V b) { return a * b; }
  HEARTH_INLINE static V div(V a, V b) { return a / b; }
  HEARTH_INLINE static V min(V a, V b) { return a < b ? a : b; }
  HEARTH_INLINE static V max(V a, V b) { return a > b ? a : b; }
  HEARTH_INLINE static M is_nan(V a) { return a != a; }
  HEARTH_INLINE static M less(V a, V b) { return a < b; }
  HEARTH_INLINE static M join(M a, M b) { return a || b; }
  HEARTH_INLINE static bool any(M m) { return m; }
  HEARTH_INLINE static V select(M m, V yes, V no) { return m ? yes : no; }
};

struct F32 : Lane<float> {
  HEARTH_INLINE static V fma(V a, V b, V c) { return __builtin_fmaf(a, b, c); }
  HEARTH_INLINE static V round(V a) { return __builtin_rintf(a); }
  HEARTH_INLINE static V power_of_two(V n) {
    const int whole = n == n ? static_cast<int>(n) : 0;
    return std::bit_cast<float>(static_cast<std::uint32_t>(whole + 127) << 23);
  }
};

struct F64 : Lane<double> {
  using Lane<double>::load;
  HEARTH_INLINE static V load(const float* p) { return *p; }
  HEARTH_INLINE static V fma(V a, V b, V c) { return __builtin_fma(a, b, c); }
  HEARTH_INLINE static V fms(V a, V b, V c) { return __builtin_fma(a, b, -c); }
  HEARTH_INLINE static V left_of(const double*, V before, V) { return before; }
  HEARTH_INLINE static V right_of(const double*, V, V after) { return after; }
  HEARTH_INLINE static void store_parity(double* p, int parity, std::int64_t n, V v) {
    if (parity == 0 && n > 0) *p = v;
  }
};

}  // namespace hearth::compute::scalar

// Elementwise loops: an operation on vectors, and one loop for all of them.
//
// The loop writes past the caches when it is told to: what a kernel writes and nobody reads soon
// would otherwise be read into the caches first, half as much traffic again for `out = in * other`.
// Such stores want whole aligned vectors, so the first elements up to a line go one vector's part at
// a time.
//
// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r (the coefficients of Cephes' expf), and
// 2^n in two factors so that results that underflow are rounded and not lost.
#pragma once

#include <cstdint>

#include "compute/builtin/isa/fetch_ahead.h"
#include "compute/builtin/isa/kernel_table.h"
#include "tensor/kernels/inline.h"

namespace hearth::compute {

template <class S>
struct Mul {
  static constexpr bool kReadsOther = true;
  using V = typename S::V;
  HEARTH_INLINE static V apply(V in, V other, V) { return S::mul(in, other); }
};

template <class S>
struct Add {
  static constexpr bool kReadsOther = true;
  using V = typename S::V;
  HEARTH_INLINE static V apply(V in, V other, V) { return S::add(in, other); }
};

template <class S>
struct Axpy {
  static constexpr bool kReadsOther = true;
  using V = typename S::V;
  HEARTH_INLINE static V apply(V in, V other, V factor) { return S::fma(factor, in, other); }
};

template <class S>
struct Scale {
  static constexpr bool kReadsOther = false;
  using V = typename S::V;
  HEARTH_INLINE static V apply(V in, V, V factor) { return S::mul(factor, in); }
};

template <class S>
struct Exp {
  static constexpr bool kReadsOther = false;
  using V = typename S::V;
  HEARTH_INLINE static V of(V in) {
    // Beyond these limits the result is 0 or infinite anyway; a NaN stays one.
    const V x = S::max(S::set1(-105.0F), S::min(S::set1(90.0F), in));
    const V n = S::round(S::mul(x, S::set1(1.44269504F)));
    const V r = S::fma(n, S::set1(2.12194440e-4F), S::fma(n, S::set1(-0.693359375F), x));
    V p = S::set1(1.9875691500e-4F);
    p = S::fma(p, r, S::set1(1.3981999507e-3F));
    p = S::fma(p, r, S::set1(8.3334519073e-3F));
    p = S::fma(p, r, S::set1(4.1665795894e-2F));
    p = S::fma(p, r, S::set1(1.6666665459e-1F));
    p = S::fma(p, r, S::set1(5.0000001201e-1F));
    p = S::add(S::fma(p, S::mul(r, r), r), S::set1(1.0F));
    const V half = S::round(S::mul(n, S::set1(0.5F)));
    return S::mul(S::mul(p, S::power_of_two(half)), S::power_of_two(S::sub(n, half)));
  }
  HEARTH_INLINE static V apply(V in, V, V) { return of(in); }
};

template <class S>
HEARTH_INLINE typename S::V magnitude(typename S::V x) {
  return S::max(S::sub(S::zero(), x), x);  // In this order a NaN stays one.
}

template <class S>
struct Sigmoid {
  static constexpr bool kReadsOther = false;
  using V = typename S::V;
  // e / (1 + e) or 1 / (1 + e) with e <= 1: nothing overflows, and small results keep their digits.
  HEARTH_INLINE static V of(V x) {
    const V e = Exp<S>::of(S::sub(S::zero(), magnitude<S>(x)));
    const V above = S::select(S::less(x, S::zero()), e, S::set1(1.0F));
    return S::div(above, S::add(S::set1(1.0F), e));
  }
  HEARTH_INLINE static V apply(V in, V, V) { return of(in); }
};

template <class S>
struct Tanh {
  static constexpr bool kReadsOther = false;
  using V = typename S::V;
  HEARTH_INLINE static V apply(V in, V, V) {
    const V size = magnitude<S>(in);
    // Near 0 a polynomial (Cephes' tanhf), else 1 - 2 / (e^2x + 1).
    const V z = S::mul(in, in);
    V p = S::set1(-5.70498872745e-3F);
    p = S::fma(p, z, S::set1(2.06390887954e-2F));
    p = S::fma(p, z, S::set1(-5.37397155531e-2F));
    p = S::fma(p, z, S::set1(1.33314422036e-1F));
    p = S::fma(p, z, S::set1(-3.33332819422e-1F));
    const V near = S::fma(S::mul(p, z), in, in);
    const V e = Exp<S>::of(S::add(size, size));
    const V far = S::sub(S::set1(1.0F), S::div(S::set1(2.0F), S::add(e, S::set1(1.0F))));
    const V signed_far = S::select(S::less(in, S::zero()), S::sub(S::zero(), far), far);
    return S::select(S::less(size, S::set1(0.625F)), near, signed_far);
  }
};

template <class S>
struct Gelu {
  static constexpr bool kReadsOther = false;
  using V = typename S::V;
  HEARTH_INLINE static V apply(V in, V, V) {
    const V cubic = S::fma(S::mul(S::mul(in, in), S::set1(0.044715F)), in, in);
    return S::mul(in, Sigmoid<S>::of(S::mul(cubic, S::set1(1.5957691216F))));
  }
};

template <class S, template <class> class Op>
void elementwise_loop(const ElementwisePiece<typename S::T>& piece) {
  using T = typename S::T;
  using V = typename S::V;
  constexpr std::int64_t kLanes = S::kLanes;
  T* const out = piece.out;
  const T* const in = piece.in;
  const T* const other = piece.other;
  const V factor = S::set1(piece.factor);
  const auto part = [&](std::int64_t i, std::int64_t n) __attribute__((always_inline)) {
    const V second = Op<S>::kReadsOther ? S::load_part(other + i, n) : S::zero();
    S::store_part(out + i, n, Op<S>::apply(S::load_part(in + i, n), second, factor));
  };
  const auto whole = [&](std::int64_t i) __attribute__((always_inline)) {
    const V second = Op<S>::kReadsOther ? S::load(other + i) : S::zero();
    return Op<S>::apply(S::load(in + i), second, factor);
  };

  std::int64_t i = 0;
  if (piece.stream) {
    const auto address = reinterpret_cast<std::uintptr_t>(out);
    const auto skip = static_cast<std::int64_t>((0 - address) % 64 / sizeof(T));
    for (const std::int64_t head = skip < piece.n ? skip : piece.n; i < head;) {
      const std::int64_t n = head - i < kLanes ? head - i : kLanes;
      part(i, n);
      i += n;
    }
    constexpr std::int64_t kLine = 64 / static_cast<std::int64_t>(sizeof(T));
    for (; i + kLine <= piece.n; i += kLine) {
      fetch_ahead<64>(in + i);
      if (Op<S>::kReadsOther) fetch_ahead<64>(other + i);
#pragma GCC unroll 16
      for (std::int64_t v = 0; v < kLine; v += kLanes) S::stream(out + i + v, whole(i + v));
    }
  }
  for (; i + kLanes <= piece.n; i += kLanes) S::store(out + i, whole(i));
  if (i < piece.n) part(i, piece.n - i);
}

template <class S, template <class> class... Ops, class Table>
HEARTH_INLINE constexpr void set_elementwise(Table& table) {
  std::size_t i = 0;
  ((table[i++] = elementwise_loop<S, Ops>), ...);
}

}  // namespace hearth::compute

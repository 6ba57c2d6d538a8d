// Sums, products and extremes of one block of numbers.
//
// Floats are widened: sums of doubles are exact to 2^-53 and a product of two floats is a double
// without rounding.  Doubles are summed with what each addition loses (Knuth's two-sum, and the
// fused multiply-subtract that gives what a product loses), so a block of n numbers is as exact as
// if it had been summed with twice the digits and rounded once (Ogita, Rump, Oishi: "Accurate sum and
// dot product", 2005).
//
// Element i goes to virtual lane i % 16 whatever the vectors are, and lanes are joined in their
// order: one result on all instruction sets.
#pragma once

#include <cstdint>

#include "compute/builtin/isa/fetch_ahead.h"
#include "compute/builtin/isa/kernel_table.h"
#include "tensor/kernels/inline.h"

namespace hearth::compute {

inline constexpr std::int64_t kSumLanes = 16;

// sum += x; what rounding took from it goes to error.
template <class S>
HEARTH_INLINE void add_exactly(typename S::V x, typename S::V& sum, typename S::V& error) {
  const auto before = sum;
  sum = S::add(before, x);
  const auto taken = S::sub(sum, before);
  error = S::add(error, S::add(S::sub(before, S::sub(sum, taken)), S::sub(x, taken)));
}

HEARTH_INLINE void add_exactly(double x, Compensated& to) {
  const double before = to.value;
  to.value = before + x;
  const double taken = to.value - before;
  to.error += (before - (to.value - taken)) + (x - taken);
}

// The virtual lanes of a sum.
template <class S>
struct SumLanes {
  using V = typename S::V;
  static constexpr int kVectors = static_cast<int>(kSumLanes) / S::kLanes;
  V sum[kVectors];
  V error[kVectors];

  HEARTH_INLINE SumLanes() {
    for (int v = 0; v < kVectors; ++v) sum[v] = error[v] = S::zero();
  }

  // The last n - whole numbers are next(i), one lane each.
  template <class Next>
  HEARTH_INLINE Compensated join(std::int64_t whole, std::int64_t n, Next&& next) {
    double sums[kSumLanes];
    double errors[kSumLanes];
    for (int v = 0; v < kVectors; ++v) {
      S::store(sums + v * S::kLanes, sum[v]);
      S::store(errors + v * S::kLanes, error[v]);
    }
    Compensated all;
    for (std::int64_t i = 0; i < kSumLanes; ++i) {
      add_exactly(sums[i], all);
      all.error += errors[i];
    }
    for (std::int64_t i = whole; i < n; ++i) next(i, all);
    return all;
  }
};

template <class S>
Compensated sum_widened(const float* x, std::int64_t n) {
  SumLanes<S> lanes;
  const std::int64_t whole = n / kSumLanes * kSumLanes;
  for (std::int64_t i = 0; i < whole; i += kSumLanes) {
    fetch_ahead<64>(x + i);
#pragma GCC unroll 16
    for (int v = 0; v < lanes.kVectors; ++v) {
      lanes.sum[v] = S::add(lanes.sum[v], S::load(x + i + v * S::kLanes));
    }
  }
  return lanes.join(whole, n, [&](std::int64_t i, Compensated& all) __attribute__((always_inline)) {
    add_exactly(static_cast<double>(x[i]), all);
  });
}

template <class S>
Compensated dot_widened(const float* x, const float* y, std::int64_t n) {
  SumLanes<S> lanes;
  const std::int64_t whole = n / kSumLanes * kSumLanes;
  for (std::int64_t i = 0; i < whole; i += kSumLanes) {
    fetch_ahead<64>(x + i);
    fetch_ahead<64>(y + i);
#pragma GCC unroll 16
    for (int v = 0; v < lanes.kVectors; ++v) {
      const std::int64_t at = i + v * S::kLanes;
      lanes.sum[v] = S::add(lanes.sum[v], S::mul(S::load(x + at), S::load(y + at)));
    }
  }
  return lanes.join(whole, n, [&](std::int64_t i, Compensated& all) __attribute__((always_inline)) {
    add_exactly(static_cast<double>(x[i]) * static_cast<double>(y[i]), all);
  });
}

template <class S>
Compensated sum_compensated(const double* x, std::int64_t n) {
  SumLanes<S> lanes;
  const std::int64_t whole = n / kSumLanes * kSumLanes;
  for (std::int64_t i = 0; i < whole; i += kSumLanes) {
    fetch_ahead<128>(x + i);
#pragma GCC unroll 16
    for (int v = 0; v < lanes.kVectors; ++v) {
      add_exactly<S>(S::load(x + i + v * S::kLanes), lanes.sum[v], lanes.error[v]);
    }
  }
  return lanes.join(whole, n, [&](std::int64_t i, Compensated& all) __attribute__((always_inline)) {
    add_exactly(x[i], all);
  });
}

template <class S>
Compensated dot_compensated(const double* x, const double* y, std::int64_t n) {
  SumLanes<S> lanes;
  const std::int64_t whole = n / kSumLanes * kSumLanes;
  for (std::int64_t i = 0; i < whole; i += kSumLanes) {
    fetch_ahead<128>(x + i);
    fetch_ahead<128>(y + i);
#pragma GCC unroll 16
    for (int v = 0; v < lanes.kVectors; ++v) {
      const auto a = S::load(x + i + v * S::kLanes);
      const auto b = S::load(y + i + v * S::kLanes);
      const auto product = S::mul(a, b);
      lanes.error[v] = S::add(lanes.error[v], S::fms(a, b, product));
      add_exactly<S>(product, lanes.sum[v], lanes.error[v]);
    }
  }
  return lanes.join(whole, n, [&](std::int64_t i, Compensated& all) __attribute__((always_inline)) {
    const double product = x[i] * y[i];
    all.error += __builtin_fma(x[i], y[i], -product);
    add_exactly(product, all);
  });
}

template <class S>
Extremes<typename S::T> extremes(const typename S::T* x, std::int64_t n) {
  using T = typename S::T;
  constexpr std::int64_t kStep = 4 * S::kLanes;  // Four chains, to hide the latency.
  Extremes<T> found{x[0], x[0], false};
  std::int64_t i = 0;
  if (n >= kStep) {
    typename S::V low[4];
    typename S::V high[4];
    for (int v = 0; v < 4; ++v) low[v] = high[v] = S::load(x + v * S::kLanes);
    auto nan = S::is_nan(low[0]);
    for (; i + kStep <= n; i += kStep) {
      fetch_ahead<kStep * sizeof(T)>(x + i);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const auto value = S::load(x + i + v * S::kLanes);
        low[v] = S::min(low[v], value);
        high[v] = S::max(high[v], value);
        nan = S::join(nan, S::is_nan(value));
      }
    }
    found.has_nan = S::any(nan);
    T lows[4 * S::kLanes];
    T highs[4 * S::kLanes];
    for (int v = 0; v < 4; ++v) {
      S::store(lows + v * S::kLanes, low[v]);
      S::store(highs + v * S::kLanes, high[v]);
    }
    for (std::int64_t lane = 0; lane < kStep; ++lane) {
      if (lows[lane] < found.min) found.min = lows[lane];
      if (highs[lane] > found.max) found.max = highs[lane];
    }
  }
  for (; i < n; ++i) {
    if (x[i] < found.min) found.min = x[i];
    if (x[i] > found.max) found.max = x[i];
    found.has_nan |= x[i] != x[i];
  }
  return found;
}

}  // namespace hearth::compute

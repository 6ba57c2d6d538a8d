// The functions of vector_ops.h, once for all instruction sets.
//
// Sums go over 16 lanes, column i in lane i modulo 16, and end in the order of Simd::sum.
#pragma once

#include "tensor/float_formats.h"
#include "tensor/kernels/inline.h"

namespace hearth::tensor {

template <class S>
struct VectorKernels {
  using I = typename S::I;
  using F = typename S::F;
  static constexpr std::size_t kLanes = 16;

  // Calls whole(i) for each 16 elements and part(i, n) for the rest.
  template <class Whole, class Part>
  HEARTH_INLINE static void each(std::size_t n, Whole&& whole, Part&& part) {
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) whole(i);
    if (i < n) part(i, n - i);
  }

  static float dot(const float* x, const float* y, std::size_t n) {
    F sum = S::set1_f(0.0F);
    each(
        n, [&](std::size_t i) { sum = S::fma(S::load_f(x + i), S::load_f(y + i), sum); },
        [&](std::size_t i, std::size_t left) {
          sum = S::fma(S::load_f_part(x + i, left), S::load_f_part(y + i, left), sum);
        });
    return S::sum(sum);
  }

  static void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* out) {
    const float mean = dot(x, x, n) / static_cast<float>(n);
    const F scale = S::set1_f(1.0F / __builtin_sqrtf(mean + eps));
    each(
        n,
        [&](std::size_t i) {
          S::store_f(out + i, S::mul(S::mul(S::load_f(x + i), scale), S::load_f(weight + i)));
        },
        [&](std::size_t i, std::size_t left) {
          const F scaled = S::mul(S::load_f_part(x + i, left), scale);
          S::store_f_part(out + i, left, S::mul(scaled, S::load_f_part(weight + i, left)));
        });
  }

  // e^x to within 2 units in the last place; 0 below the smallest normal result, and at most
  // e^88.37.
  //
  // x = k ln 2 + r with |r| <= ln(2) / 2: the Taylor polynomial of degree 7 is exact to 2^-27
  // there, and 2^k goes straight into the exponent.  ln 2 is split in two (Cody and Waite) so that
  // r keeps its precision.
  HEARTH_INLINE static F exp(F x) {
    const F lowest = S::set1_f(-87.33654F);
    // The order of operands lets NaN through.
    const F clamped = S::min(S::set1_f(88.37F), S::max(lowest, x));
    const F rounder = S::set1_f(kRounder);
    const F shifted = S::fma(clamped, S::set1_f(1.44269504F), rounder);
    const F k = S::sub(shifted, rounder);
    F r = S::fnma(k, S::set1_f(0.693359375F), clamped);
    r = S::fnma(k, S::set1_f(-2.12194440e-4F), r);
    F p = S::set1_f(1.0F / 5040);
    p = S::fma(p, r, S::set1_f(1.0F / 720));
    p = S::fma(p, r, S::set1_f(1.0F / 120));
    p = S::fma(p, r, S::set1_f(1.0F / 24));
    p = S::fma(p, r, S::set1_f(1.0F / 6));
    p = S::fma(p, r, S::set1_f(0.5F));
    p = S::fma(p, r, S::set1_f(1.0F));
    p = S::fma(p, r, S::set1_f(1.0F));
    // The low bits of `shifted` are k.
    const I exponent = S::template shl<23>(S::as_bits(shifted));
    return S::zero_if_less(S::as_float(S::add32(S::as_bits(p), exponent)), x, lowest);
  }
  // 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits; its own low bits
  // are zero, so that the shift by 23 leaves k alone.
  static constexpr float kRounder = 12582912.0F;

  static void softmax(float* x, std::size_t n) {
    const float max = max_of(x, n);
    const F top = S::set1_f(max);
    F sum = S::set1_f(0.0F);
    each(
        n,
        [&](std::size_t i) {
          const F e = exp(S::sub(S::load_f(x + i), top));
          S::store_f(x + i, e);
          sum = S::add(sum, e);
        },
        [&](std::size_t i, std::size_t left) {
          S::store_f_part(x + i, left, exp(S::sub(S::load_f_part(x + i, left), top)));
          sum = S::add(sum, S::load_f_part(x + i, left));
        });
    scale(x, n, 1.0F / S::sum(sum));
  }

  static float max_of(const float* x, std::size_t n) {
    F max = S::set1_f(x[0]);
    each(
        n, [&](std::size_t i) { max = S::max(max, S::load_f(x + i)); },
        [&](std::size_t i, std::size_t left) {
          for (std::size_t j = 0; j < left; ++j) max = S::max(max, S::set1_f(x[i + j]));
        });
    return S::max_lane(max);
  }

  static void scale(float* x, std::size_t n, float factor) {
    const F f = S::set1_f(factor);
    each(
        n, [&](std::size_t i) { S::store_f(x + i, S::mul(S::load_f(x + i), f)); },
        [&](std::size_t i, std::size_t left) {
          S::store_f_part(x + i, left, S::mul(S::load_f_part(x + i, left), f));
        });
  }

  // Calls two(gate, up) on 16 elements at a time.
  template <class Two>
  HEARTH_INLINE static void combine(const float* gate, const float* up, std::size_t n, float* out,
                                    Two&& two) {
    each(
        n, [&](std::size_t i) { S::store_f(out + i, two(S::load_f(gate + i), S::load_f(up + i))); },
        [&](std::size_t i, std::size_t left) {
          S::store_f_part(out + i, left,
                          two(S::load_f_part(gate + i, left), S::load_f_part(up + i, left)));
        });
  }

  // x / (1 + exp(-y)).
  HEARTH_INLINE static F sigmoid_times(F x, F y) {
    const F e = exp(S::sub(S::set1_f(0.0F), y));
    return S::div(x, S::add(S::set1_f(1.0F), e));
  }

  static void silu_mul(const float* gate, const float* up, std::size_t n, float* out) {
    combine(gate, up, n, out,
            [](F g, F u) __attribute__((always_inline)) { return S::mul(sigmoid_times(g, g), u); });
  }

  static void gelu_mul(const float* gate, const float* up, std::size_t n, float* out) {
    combine(gate, up, n, out, [](F g, F u) __attribute__((always_inline)) {
      // 0.5 (1 + tanh(t)) = 1 / (1 + exp(-2 t)) with t = sqrt(2 / pi) (g + 0.044715 g^3).
      const F inner = S::fma(S::mul(g, g), S::set1_f(0.044715F), S::set1_f(1.0F));
      return S::mul(sigmoid_times(g, S::mul(S::mul(g, S::set1_f(1.5957691F)), inner)), u);
    });
  }

  static void clamped_swiglu(const float* gate, const float* up, std::size_t n, float* out) {
    combine(gate, up, n, out, [](F g, F u) __attribute__((always_inline)) {
      const F limit = S::set1_f(7.0F);
      g = S::min(g, limit);
      u = S::max(S::min(u, limit), S::set1_f(-7.0F));
      return S::mul(sigmoid_times(g, S::mul(g, S::set1_f(1.702F))), S::add(u, S::set1_f(1.0F)));
    });
  }

  static void softcap(float* x, std::size_t n, float cap) {
    const F c = S::set1_f(cap);
    const F slope = S::set1_f(2.0F / cap);
    // cap tanh(x / cap) = cap - 2 cap / (1 + exp(2 x / cap)).
    const auto one = [&](F v) __attribute__((always_inline)) {
      const F e = S::add(exp(S::mul(v, slope)), S::set1_f(1.0F));
      return S::sub(c, S::div(S::add(c, c), e));
    };
    each(
        n, [&](std::size_t i) { S::store_f(x + i, one(S::load_f(x + i))); },
        [&](std::size_t i, std::size_t left) {
          S::store_f_part(x + i, left, one(S::load_f_part(x + i, left)));
        });
  }

  static void add(const float* x, std::size_t n, float* y) {
    each(
        n, [&](std::size_t i) { S::store_f(y + i, S::add(S::load_f(y + i), S::load_f(x + i))); },
        [&](std::size_t i, std::size_t left) {
          S::store_f_part(y + i, left,
                          S::add(S::load_f_part(y + i, left), S::load_f_part(x + i, left)));
        });
  }

  HEARTH_INLINE static F load_f16_part(const F16* p, std::size_t n) {
    F16 buffer[kLanes] = {};
    __builtin_memcpy(buffer, p, n * sizeof(F16));
    return S::load_f16(buffer);
  }

  static void f32_from_f16(const F16* in, std::size_t n, float* out) {
    each(
        n, [&](std::size_t i) { S::store_f(out + i, S::load_f16(in + i)); },
        [&](std::size_t i, std::size_t left) {
          S::store_f_part(out + i, left, load_f16_part(in + i, left));
        });
  }

  static void f16_from_f32(const float* in, std::size_t n, F16* out) {
    each(
        n, [&](std::size_t i) { S::store_f16(out + i, S::load_f(in + i)); },
        [&](std::size_t i, std::size_t left) {
          F16 buffer[kLanes];
          S::store_f16(buffer, S::load_f_part(in + i, left));
          __builtin_memcpy(out + i, buffer, left * sizeof(F16));
        });
  }

  // Rows at a time, so that their sums do not wait for one another.
  template <std::size_t kRows>
  HEARTH_INLINE static void dot_rows(const F16* rows, const float* x, std::size_t n, float* out) {
    F sum[kRows];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) sum[r] = S::set1_f(0.0F);
    each(
        n,
        [&](std::size_t i) __attribute__((always_inline)) {
          const F a = S::load_f(x + i);
#pragma GCC unroll 8
          for (std::size_t r = 0; r < kRows; ++r) {
            sum[r] = S::fma(S::load_f16(rows + r * n + i), a, sum[r]);
          }
        },
        [&](std::size_t i, std::size_t left) __attribute__((always_inline)) {
          const F a = S::load_f_part(x + i, left);
#pragma GCC unroll 8
          for (std::size_t r = 0; r < kRows; ++r) {
            sum[r] = S::fma(load_f16_part(rows + r * n + i, left), a, sum[r]);
          }
        });
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) out[r] = S::sum(sum[r]);
  }

  static void dot_f16_rows(const F16* rows, std::size_t n_rows, const float* x, std::size_t n,
                           float* out) {
    std::size_t row = 0;
    for (; row + 4 <= n_rows; row += 4) dot_rows<4>(rows + row * n, x, n, out + row);
    for (; row < n_rows; ++row) dot_rows<1>(rows + row * n, x, n, out + row);
  }

  static void add_weighted_f16_rows(const F16* rows, std::size_t n_rows, const float* weights,
                                    std::size_t n, float* y) {
    each(
        n,
        [&](std::size_t i) {
          F sum = S::load_f(y + i);
          for (std::size_t r = 0; r < n_rows; ++r) {
            sum = S::fma(S::load_f16(rows + r * n + i), S::set1_f(weights[r]), sum);
          }
          S::store_f(y + i, sum);
        },
        [&](std::size_t i, std::size_t left) {
          F sum = S::load_f_part(y + i, left);
          for (std::size_t r = 0; r < n_rows; ++r) {
            sum = S::fma(load_f16_part(rows + r * n + i, left), S::set1_f(weights[r]), sum);
          }
          S::store_f_part(y + i, left, sum);
        });
  }

  // Columns [i, i + 16 kCols) of a state's rows: several sums at a time, which need not wait for one
  // another.
  template <std::size_t kCols>
  HEARTH_INLINE static void sum_columns(const float* rows, std::size_t n_rows, std::size_t n,
                                        const float* weights, float* out) {
    F sum[kCols];
    for (std::size_t c = 0; c < kCols; ++c) sum[c] = S::set1_f(0.0F);
    for (std::size_t r = 0; r < n_rows; ++r) {
      const F weight = S::set1_f(weights[r]);
      for (std::size_t c = 0; c < kCols; ++c) {
        sum[c] = S::fma(weight, S::load_f(rows + r * n + c * kLanes), sum[c]);
      }
    }
    for (std::size_t c = 0; c < kCols; ++c) S::store_f(out + c * kLanes, sum[c]);
  }

  static void sum_rows(const float* rows, std::size_t n_rows, std::size_t n, const float* weights,
                       float* out) {
    std::size_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
      sum_columns<4>(rows + i, n_rows, n, weights, out + i);
    }
    for (; i < n; i += kLanes) sum_columns<1>(rows + i, n_rows, n, weights, out + i);
  }

  struct Scan {
    std::size_t n_rows, n;
    float decay;
    const float* learns;
    const float* reads;
  };
  template <std::size_t kCols>
  HEARTH_INLINE static void scan_columns(float* rows, const Scan& scan, const float* value,
                                         float* out) {
    const F decay = S::set1_f(scan.decay);
    F sum[kCols];
    F learnt[kCols];
    for (std::size_t c = 0; c < kCols; ++c) {
      sum[c] = S::set1_f(0.0F);
      learnt[c] = S::load_f(value + c * kLanes);
    }
    for (std::size_t r = 0; r < scan.n_rows; ++r) {
      const F key = S::set1_f(scan.learns[r]);
      const F read = S::set1_f(scan.reads[r]);
      for (std::size_t c = 0; c < kCols; ++c) {
        float* const at = rows + r * scan.n + c * kLanes;
        const F kept = S::fma(key, learnt[c], S::mul(decay, S::load_f(at)));
        S::store_f(at, kept);
        sum[c] = S::fma(read, kept, sum[c]);
      }
    }
    for (std::size_t c = 0; c < kCols; ++c) S::store_f(out + c * kLanes, sum[c]);
  }

  static void scan_rows(float* rows, std::size_t n_rows, std::size_t n, float decay,
                        const float* learns, const float* value, const float* reads, float* out) {
    const Scan scan{n_rows, n, decay, learns, reads};
    std::size_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
      scan_columns<4>(rows + i, scan, value + i, out + i);
    }
    for (; i < n; i += kLanes) scan_columns<1>(rows + i, scan, value + i, out + i);
  }
};

}  // namespace hearth::tensor

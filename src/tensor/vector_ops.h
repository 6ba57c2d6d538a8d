// What a forward pass does to rows of floats between its matrix products, and to the half-precision
// rows of the KV cache.
//
// Each function sums in an order that depends on the row's length alone, so a token's result does
// not depend on the batch around it, nor on the instruction set: all variants give the same bits.
//
// Threading: pure functions; any thread.  Pointers need only their element's alignment.
#pragma once

#include <cstddef>

#include "tensor/float_formats.h"

namespace hearth::tensor {

// x · y over n elements.
float dot(const float* x, const float* y, std::size_t n);

// out [n] = x / sqrt(mean(x^2) + eps) * weight.  `out` may be `x`.
void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* out);

// x [n] = exp(x - max(x)) / sum, in place; n of at least 1.  -inf gives 0, but not all may be -inf.
void softmax(float* x, std::size_t n);

// out [n] = gate / (1 + exp(-gate)) * up: the gated activation of SwiGLU.  `out` may be either.
void silu_mul(const float* gate, const float* up, std::size_t n, float* out);

// out [n] = gelu(gate) * up, gelu in its tanh form (Hendrycks and Gimpel 2016): Gemma's GeGLU.
void gelu_mul(const float* gate, const float* up, std::size_t n, float* out);

// out [n] = gate / (1 + exp(-1.702 gate)) * (up + 1), gate at most 7 and up within 7 of 0 before:
// gpt-oss.  `out` may be either.
void clamped_swiglu(const float* gate, const float* up, std::size_t n, float* out);

// x [n] = cap * tanh(x / cap), in place; cap above 0: Gemma 2.
void softcap(float* x, std::size_t n, float cap);

// y [n] += x.
void add(const float* x, std::size_t n, float* y);

// A state of n_rows rows of n floats (n a multiple of 16), as layers that scan have it:
// out [n] = sum over rows of weights[row] * rows[row], in the order of the rows.
void sum_rows(const float* rows, std::size_t n_rows, std::size_t n, const float* weights, float* out);
// rows[row] = decay * rows[row] + learns[row] * value, and then out [n] = sum of reads[row] * rows[row].
void scan_rows(float* rows, std::size_t n_rows, std::size_t n, float decay, const float* learns,
               const float* value, const float* reads, float* out);

void f32_from_f16(const F16* in, std::size_t n, float* out);
// To nearest, ties to even.
void f16_from_f32(const float* in, std::size_t n, F16* out);

// Attention over a page of half-precision keys and values, `rows` [n_rows, n] contiguous.
// out [n_rows] = rows · x.
void dot_f16_rows(const F16* rows, std::size_t n_rows, const float* x, std::size_t n, float* out);
// y [n] += sum over rows of weights[row] * rows[row], in the order of the rows.
void add_weighted_f16_rows(const F16* rows, std::size_t n_rows, const float* weights, std::size_t n,
                           float* y);

// The same for one row.
inline float dot_f16(const F16* row, const float* x, std::size_t n) {
  float out = 0;
  dot_f16_rows(row, 1, x, n, &out);
  return out;
}
inline void axpy_f16(float a, const F16* x, std::size_t n, float* y) {
  add_weighted_f16_rows(x, 1, &a, n, y);
}

}  // namespace hearth::tensor

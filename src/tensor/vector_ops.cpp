#include "tensor/vector_ops.h"

#include "tensor/kernels/kernels.h"

namespace hearth::tensor {

float dot(const float* x, const float* y, std::size_t n) { return kernels().dot(x, y, n); }

void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* out) {
  kernels().rms_norm(x, weight, n, eps, out);
}

void softmax(float* x, std::size_t n) { kernels().softmax(x, n); }

void silu_mul(const float* gate, const float* up, std::size_t n, float* out) {
  kernels().silu_mul(gate, up, n, out);
}

void gelu_mul(const float* gate, const float* up, std::size_t n, float* out) {
  kernels().gelu_mul(gate, up, n, out);
}

void clamped_swiglu(const float* gate, const float* up, std::size_t n, float* out) {
  kernels().clamped_swiglu(gate, up, n, out);
}

void softcap(float* x, std::size_t n, float cap) { kernels().softcap(x, n, cap); }

void add(const float* x, std::size_t n, float* y) { kernels().add(x, n, y); }

void sum_rows(const float* rows, std::size_t n_rows, std::size_t n, const float* weights,
              float* out) {
  kernels().sum_rows(rows, n_rows, n, weights, out);
}

void scan_rows(float* rows, std::size_t n_rows, std::size_t n, float decay, const float* learns,
               const float* value, const float* reads, float* out) {
  kernels().scan_rows(rows, n_rows, n, decay, learns, value, reads, out);
}

void f32_from_f16(const F16* in, std::size_t n, float* out) { kernels().f32_from_f16(in, n, out); }

void f16_from_f32(const float* in, std::size_t n, F16* out) { kernels().f16_from_f32(in, n, out); }

void dot_f16_rows(const F16* rows, std::size_t n_rows, const float* x, std::size_t n, float* out) {
  kernels().dot_f16_rows(rows, n_rows, x, n, out);
}

void add_weighted_f16_rows(const F16* rows, std::size_t n_rows, const float* weights, std::size_t n,
                           float* y) {
  kernels().add_weighted_f16_rows(rows, n_rows, weights, n, y);
}

}  // namespace hearth::tensor

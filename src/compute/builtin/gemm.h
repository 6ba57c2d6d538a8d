// Products of matrices and vectors of floats and doubles.
//
// Small products run straight over the operands, panel by panel of b (as many columns as a tile has);
// only a last panel that is not whole vectors is copied.  Larger ones are blocked: b's panels are
// copied once for all threads, k is cut into blocks of kGemmDepth whose panels the caches hold, and
// each task copies its rows of a, so that no stride of the caller's makes lines fight for one set of a
// cache.
//
// Determinism: a number of c is the sum over blocks of kGemmDepth, in order, of one chain of fused
// multiply-adds each.  Shapes of tiles, threads and instruction sets change nothing, so results are
// the same bits everywhere (level D2).
#pragma once

#include <cstdint>

#include "compute/builtin/workers.h"

namespace hearth::compute {

// Numbers of one block of k at most; k is cut into blocks that are equal but for one number.
inline constexpr std::int64_t kGemmDepth = 384;

// Element (i, j) lies at data[i * row_stride + j * col_stride]; strides are in elements.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t col_stride = 1;
};

// c[m, n] = a[m, k] b[k, n].  One of c's strides is 1; c overlaps neither a nor b.  A sum over k = 0
// is 0.
template <class T>
struct GemmCall {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  MatrixView<const T> a;
  MatrixView<const T> b;
  MatrixView<T> c;
};

// Threading: as the workers.  Each thread keeps up to 2 MiB of scratch for its next product.
void gemm(const GemmCall<float>& call, const Workers& workers);
void gemm(const GemmCall<double>& call, const Workers& workers);

// y[m] = a[m, k] x[k], with a's rows and x contiguous.  Sums are in 32 (f32) or 16 (f64) virtual
// lanes that are joined in one order: D2 as well, but not the bits of a product with one column.
void gemv(std::int64_t m, std::int64_t k, const float* a, std::int64_t a_stride, const float* x,
          float* y, const Workers& workers);
void gemv(std::int64_t m, std::int64_t k, const double* a, std::int64_t a_stride, const double* x,
          double* y, const Workers& workers);

}  // namespace hearth::compute

// BLAS and LAPACK of the system: OpenBLAS, or LAPACK alone from whatever the system calls so.
//
// Products of our own are as fast (docs/design/0024-built-in-kernels.md), so BLAS is what they are
// compared with; eigenvalues and solutions of equations come from LAPACK.
//
// Matrices are in Fortran's order, column by column; sizes are its 32-bit integers.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace hearth::compute {

using BlasInt = std::int32_t;

// What cblas.h says; row-major, no transposition.
inline constexpr int kBlasRowMajor = 101;
inline constexpr int kBlasNoTranspose = 111;

struct OpenBlas {
  void (*sgemm)(int order, int trans_a, int trans_b, BlasInt m, BlasInt n, BlasInt k, float alpha,
                const float* a, BlasInt lda, const float* b, BlasInt ldb, float beta, float* c,
                BlasInt ldc);
  void (*dgemm)(int order, int trans_a, int trans_b, BlasInt m, BlasInt n, BlasInt k, double alpha,
                const double* a, BlasInt lda, const double* b, BlasInt ldb, double beta, double* c,
                BlasInt ldc);
  void (*set_num_threads)(int n_threads);
  std::string core;  // What it takes this processor for: not always what it is.
};

// Opened at the first call; kUnavailable if it is not installed.
// Threading: any.  Calls of its functions are for one thread at a time.
Result<const OpenBlas*> open_blas();

// The last arguments are the lengths of the strings, which Fortran passes behind all others.
struct Lapack {
  void (*dsyevd)(const char* jobz, const char* uplo, const BlasInt* n, double* a, const BlasInt* lda,
                 double* w, double* work, const BlasInt* lwork, BlasInt* iwork,
                 const BlasInt* liwork, BlasInt* info, std::size_t, std::size_t);
  void (*dgetrf)(const BlasInt* m, const BlasInt* n, double* a, const BlasInt* lda, BlasInt* pivots,
                 BlasInt* info);
  void (*dgetrs)(const char* trans, const BlasInt* n, const BlasInt* nrhs, const double* a,
                 const BlasInt* lda, const BlasInt* pivots, double* b, const BlasInt* ldb,
                 BlasInt* info, std::size_t);
  void (*set_num_threads)(int n_threads);  // nullptr where the library has no say in it.
  std::string library;
};

// OpenBLAS's, else that of liblapack.so.3.
Result<const Lapack*> lapack();

}  // namespace hearth::compute

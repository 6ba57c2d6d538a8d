// FFTW and LAPACK as built-ins: their shapes, their limits and what they say.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "compute/builtin/library/blas.h"
#include "compute/builtin/library/fftw.h"
#include "compute/builtin/rows.h"

namespace hearth::compute {
namespace {

// LAPACK's work for eigenvectors is 2 n^2 numbers, counted in 32 bits.
constexpr std::int64_t kLapackMax = 30'000;

template <class T, Transform kKind>
Result<> run_transform(const Bindings& arguments, const Workers& workers) {
  const Tensor& in = arguments.tensors[1];
  return transform(kKind, in.shape[0], in.shape[1], data_of<const T>(arguments, 1),
                   data_of<T>(arguments, 0), workers);
}

Result<const Lapack*> lapack_for(std::int64_t size, const Workers& workers) {
  if (size > kLapackMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("a matrix has {} rows or columns, at most {} are possible", size, kLapackMax));
  }
  HEARTH_TRY(const Lapack* const found, lapack());
  if (found->set_num_threads != nullptr) {
    found->set_num_threads(static_cast<int>(workers.n_threads()));
  }
  return found;
}

// Symmetric, so Fortran's columns are our rows; its lower triangle is our upper one.
Result<> run_eigen(const Bindings& arguments, const Workers& workers) {
  const std::int64_t rows = arguments.tensors[0].shape[0];
  HEARTH_TRY(const Lapack* const lapack, lapack_for(rows, workers));
  if (rows == 0) return {};
  double* const values = data_of<double>(arguments, 0);
  double* const vectors = data_of<double>(arguments, 1);
  const double* const a = data_of<const double>(arguments, 2);
  std::copy(a, a + rows * rows, vectors);
  const auto n = static_cast<BlasInt>(rows);
  const BlasInt n_work = 1 + 6 * n + 2 * n * n;
  const BlasInt n_integers = 3 + 5 * n;
  std::vector<double> work(static_cast<std::size_t>(n_work));
  std::vector<BlasInt> integers(static_cast<std::size_t>(n_integers));
  BlasInt info = 0;
  lapack->dsyevd("V", "L", &n, vectors, &n, values, work.data(), &n_work, integers.data(),
                 &n_integers, &info, 1, 1);
  if (info == 0) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("the eigenvalues of 'a' did not converge (dsyevd: {}): are its numbers finite?", info));
}

// With a' for a, as Fortran sees it; b goes there and back by columns.
Result<> run_solve(const Bindings& arguments, const Workers& workers) {
  const std::int64_t rows = arguments.tensors[1].shape[0];
  const std::int64_t cols = arguments.tensors[2].shape[1];
  HEARTH_TRY(const Lapack* const lapack, lapack_for(std::max(rows, cols), workers));
  if (rows == 0 || cols == 0) return {};
  const double* const a = data_of<const double>(arguments, 1);
  const double* const b = data_of<const double>(arguments, 2);
  double* const out = data_of<double>(arguments, 0);
  std::vector<double> factors(a, a + rows * rows);
  std::vector<double> x(static_cast<std::size_t>(rows * cols));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) x[static_cast<std::size_t>(j * rows + i)] = b[i * cols + j];
  }
  const auto n = static_cast<BlasInt>(rows);
  const auto n_columns = static_cast<BlasInt>(cols);
  std::vector<BlasInt> pivots(static_cast<std::size_t>(rows));
  BlasInt info = 0;
  lapack->dgetrf(&n, &n, factors.data(), &n, pivots.data(), &info);
  if (info != 0) {
    return fail(Code::kInvalidArgument, fmt::format("'a' is singular: its pivot {} is 0", info));
  }
  lapack->dgetrs("T", &n, &n_columns, factors.data(), &n, pivots.data(), x.data(), &n, &info, 1);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) out[i * cols + j] = x[static_cast<std::size_t>(j * rows + i)];
  }
  return {};
}

constexpr Builtin kRows[] = {
    {"fft_f32", "Fourier transforms of rows of (real, imaginary) pairs",
     "out f32[rows, n, 2], in f32[rows, n, 2]", "5*rows*n*log2(n) + 1", "16*rows*n", 1,
     run_transform<float, Transform::kForward>},
    {"fft_f64", "Fourier transforms of rows of (real, imaginary) pairs",
     "out f64[rows, n, 2], in f64[rows, n, 2]", "5*rows*n*log2(n) + 1", "32*rows*n", 1,
     run_transform<double, Transform::kForward>},
    {"ifft_f32", "what fft_f32 undoes: divided by n", "out f32[rows, n, 2], in f32[rows, n, 2]",
     "5*rows*n*log2(n) + 1", "16*rows*n", 1, run_transform<float, Transform::kBackward>},
    {"ifft_f64", "what fft_f64 undoes: divided by n", "out f64[rows, n, 2], in f64[rows, n, 2]",
     "5*rows*n*log2(n) + 1", "32*rows*n", 1, run_transform<double, Transform::kBackward>},
    {"rfft_f32", "the first half of the transforms of rows of reals",
     "out f32[rows, n/2 + 1, 2], in f32[rows, n]", "5*rows*n*log2(n)/2 + 1", "8*rows*n", 1,
     run_transform<float, Transform::kReal>},
    {"rfft_f64", "the first half of the transforms of rows of reals",
     "out f64[rows, n/2 + 1, 2], in f64[rows, n]", "5*rows*n*log2(n)/2 + 1", "16*rows*n", 1,
     run_transform<double, Transform::kReal>},
    {"eigh_f64", "eigenvalues of a symmetric a, ascending, and a row of out_vectors for each",
     "out_values f64[n], out_vectors f64[n, n], a f64[n, n]", "9*n*n*n", "16*n*n", 0, run_eigen},
    {"solve_f64", "out with a out = b, by elimination with pivots",
     "out f64[n, k], a f64[n, n], b f64[n, k]", "2*n*n*n/3 + 2*n*n*k", "8*(n*n + 2*n*k)", 0,
     run_solve},
};

}  // namespace

std::span<const Builtin> library_rows() { return kRows; }

}  // namespace hearth::compute

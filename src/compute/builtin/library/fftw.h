// Fourier transforms by FFTW 3, if the system has it.
//
// A plan is made by rule, not by trying (FFTW_ESTIMATE), so that the same transform has the same bits
// on every run; the last plans are kept.  Rows of a batch are handed to threads, and each row is
// transformed by one: bits do not depend on how many there are.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "compute/builtin/workers.h"

namespace hearth::compute {

enum class Transform : std::uint8_t {
  kForward,   // Complex to complex, e^-i; not scaled.
  kBackward,  // Complex to complex, e^+i, divided by n.
  kReal,      // n reals to n / 2 + 1 complex numbers.
};

inline constexpr std::int64_t kTransformMax = std::int64_t{1} << 30;  // Rows, and numbers of a row.

// n_rows transforms of n numbers each, one after another; complex numbers are pairs (real,
// imaginary).  kUnavailable without libfftw3 (libfftw3f for floats), kInvalidArgument beyond
// kTransformMax.
// Threading: as the workers; plans are made under a lock.
Result<> transform(Transform kind, std::int64_t n_rows, std::int64_t n, const float* in, float* out,
                   const Workers& workers);
Result<> transform(Transform kind, std::int64_t n_rows, std::int64_t n, const double* in,
                   double* out, const Workers& workers);

}  // namespace hearth::compute

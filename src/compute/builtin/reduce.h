// Sums, dot products, norms and extremes of whole arrays.
//
// An array is cut into blocks of kReduceBlock whatever the number of threads, and the blocks' results
// are joined in their order with what rounding took from each: bits depend on neither threads nor
// instruction set (D2).
#pragma once

#include <cstdint>

#include "compute/builtin/workers.h"
#include "compute/builtin/isa/kernel_table.h"

namespace hearth::compute {

inline constexpr std::int64_t kReduceBlock = std::int64_t{1} << 15;

// As exact as a sum with twice the digits, rounded once; of floats: with a double's digits.  0 for
// n = 0.
double sum(std::int64_t n, const float* x, const Workers& workers);
double sum(std::int64_t n, const double* x, const Workers& workers);
double dot(std::int64_t n, const float* x, const float* y, const Workers& workers);
double dot(std::int64_t n, const double* x, const double* y, const Workers& workers);

// The square root of the sum of squares, without overflow or underflow on the way.
double norm(std::int64_t n, const float* x, const Workers& workers);
double norm(std::int64_t n, const double* x, const Workers& workers);

// What `min`, `max` and `argmax` need to know.  A NaN wins, as in numpy; `argmax` is the first of the
// largest.  n is at least 1.
template <class T>
struct FoundExtremes {
  T min;
  T max;
  std::int64_t argmin;
  std::int64_t argmax;
};
FoundExtremes<float> find_extremes(std::int64_t n, const float* x, const Workers& workers);
FoundExtremes<double> find_extremes(std::int64_t n, const double* x, const Workers& workers);

}  // namespace hearth::compute

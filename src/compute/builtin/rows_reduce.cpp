// Reductions as built-ins: a result is a tensor of one number.
#include <fmt/format.h>

#include "compute/builtin/reduce.h"
#include "compute/builtin/rows.h"

namespace hearth::compute {
namespace {

template <class T>
Result<> run_sum(const Bindings& arguments, const Workers& workers) {
  *data_of<double>(arguments, 0) =
      sum(arguments.symbols()[0], data_of<const T>(arguments, 1), workers);
  return {};
}

template <class T>
Result<> run_dot(const Bindings& arguments, const Workers& workers) {
  *data_of<double>(arguments, 0) =
      dot(arguments.symbols()[0], data_of<const T>(arguments, 1), data_of<const T>(arguments, 2),
          workers);
  return {};
}

template <class T>
Result<> run_norm(const Bindings& arguments, const Workers& workers) {
  *data_of<double>(arguments, 0) =
      norm(arguments.symbols()[0], data_of<const T>(arguments, 1), workers);
  return {};
}

// One field of what is found; Out is the type of the result.
template <class T, class Out, auto kField>
Result<> run_extreme(const Bindings& arguments, const Workers& workers) {
  const std::int64_t n = arguments.symbols()[0];
  if (n == 0) return fail(Code::kInvalidArgument, "'in' is empty: there is no largest or smallest of no numbers");
  *data_of<Out>(arguments, 0) =
      find_extremes(n, data_of<const T>(arguments, 1), workers).*kField;
  return {};
}

using F = FoundExtremes<float>;
using D = FoundExtremes<double>;

constexpr Builtin kRows[] = {
    {"sum_f32", "out = the sum of in, in doubles", "out f64[1], in f32[n]", "n", "4*n", 2,
     run_sum<float>},
    {"sum_f64", "out = the sum of in, compensated", "out f64[1], in f64[n]", "n", "8*n", 2,
     run_sum<double>},
    {"dot_f32", "out = the sum of x * y, in doubles", "out f64[1], x f32[n], y f32[n]", "2*n",
     "8*n", 2, run_dot<float>},
    {"dot_f64", "out = the sum of x * y, compensated", "out f64[1], x f64[n], y f64[n]", "2*n",
     "16*n", 2, run_dot<double>},
    {"norm_f32", "out = the square root of the sum of squares", "out f64[1], in f32[n]", "2*n",
     "4*n", 2, run_norm<float>},
    {"norm_f64", "out = the square root of the sum of squares, without overflow",
     "out f64[1], in f64[n]", "2*n", "8*n", 2, run_norm<double>},
    {"min_f32", "out = the smallest of in; NaN if there is one", "out f32[1], in f32[n]", "n",
     "4*n", 2, run_extreme<float, float, &F::min>},
    {"min_f64", "out = the smallest of in; NaN if there is one", "out f64[1], in f64[n]", "n",
     "8*n", 2, run_extreme<double, double, &D::min>},
    {"max_f32", "out = the largest of in; NaN if there is one", "out f32[1], in f32[n]", "n",
     "4*n", 2, run_extreme<float, float, &F::max>},
    {"max_f64", "out = the largest of in; NaN if there is one", "out f64[1], in f64[n]", "n",
     "8*n", 2, run_extreme<double, double, &D::max>},
    {"argmax_f32", "out = where the first of the largest, or the first NaN, lies",
     "out i64[1], in f32[n]", "n", "4*n", 2, run_extreme<float, std::int64_t, &F::argmax>},
    {"argmax_f64", "out = where the first of the largest, or the first NaN, lies",
     "out i64[1], in f64[n]", "n", "8*n", 2, run_extreme<double, std::int64_t, &D::argmax>},
};

}  // namespace

std::span<const Builtin> reduce_rows() { return kRows; }

}  // namespace hearth::compute

// Stencils as built-ins.
#include <fmt/format.h>

#include "compute/builtin/rows.h"
#include "compute/builtin/stencil.h"

namespace hearth::compute {
namespace {

constexpr std::int64_t kSweepsMax = 1'000'000'000;

Result<std::int64_t> sweeps_of(const Bindings& arguments) {
  const std::int64_t sweeps = arguments.symbols()[0];
  if (sweeps >= 0 && sweeps <= kSweepsMax) return sweeps;
  return fail(Code::kInvalidArgument,
              fmt::format("'sweeps' is {}: 0 to {} are possible", sweeps, kSweepsMax));
}

Result<> run_jacobi(const Bindings& arguments, const Workers& workers) {
  HEARTH_TRY(const std::int64_t sweeps, sweeps_of(arguments));
  const auto& shape = arguments.tensors[0].shape;
  jacobi5(shape[0], shape[1], data_of<const double>(arguments, 1), sweeps,
          data_of<double>(arguments, 0), workers);
  return {};
}

Result<> run_sor(const Bindings& arguments, const Workers& workers) {
  HEARTH_TRY(const std::int64_t sweeps, sweeps_of(arguments));
  const auto& shape = arguments.tensors[0].shape;
  sor_red_black(shape[0], shape[1], data_of<const double>(arguments, 1), arguments.reals[0],
                sweeps, data_of<double>(arguments, 0), workers);
  return {};
}

constexpr Builtin kRows[] = {
    {"jacobi5_f64", "out = u after so many sweeps of the mean of four neighbours; the border stays",
     "out f64[n, m], u f64[n, m], sweeps i64", "4*n*m*sweeps", "16*n*m*sweeps", 2, run_jacobi},
    {"sor_red_black_f64",
     "so many sweeps of red and black cells: inout += omega (mean - rhs / 4 - inout)",
     "inout f64[n, m], rhs f64[n, m], omega f64, sweeps i64", "8*n*m*sweeps", "24*n*m*sweeps", 2,
     run_sor},
};

}  // namespace

std::span<const Builtin> stencil_rows() { return kRows; }

}  // namespace hearth::compute

// Elementwise built-ins: rows over one function.
#include "compute/builtin/elementwise.h"
#include "compute/builtin/rows.h"

namespace hearth::compute {
namespace {

// out, in and, where there is one, a second input; a factor.
template <class T, Elementwise kOp>
Result<> run(const Bindings& arguments, const Workers& workers) {
  const T* const other = arguments.tensors.size() > 2 ? data_of<T>(arguments, 2) : nullptr;
  const T factor = arguments.reals.empty() ? T{0} : static_cast<T>(arguments.reals[0]);
  elementwise(kOp, arguments.symbols()[0], data_of<T>(arguments, 1), other, factor,
              data_of<T>(arguments, 0), workers);
  return {};
}

constexpr Builtin kRows[] = {
    {"mul_f32", "out = in * weights", "out f32[n], in f32[n], weights f32[n]", "n", "12*n", 2,
     run<float, Elementwise::kMul>},
    {"mul_f64", "out = in * weights", "out f64[n], in f64[n], weights f64[n]", "n", "24*n", 2,
     run<double, Elementwise::kMul>},
    {"add_f32", "out = x + y", "out f32[n], x f32[n], y f32[n]", "n", "12*n", 2,
     run<float, Elementwise::kAdd>},
    {"add_f64", "out = x + y", "out f64[n], x f64[n], y f64[n]", "n", "24*n", 2,
     run<double, Elementwise::kAdd>},
    {"axpy_f32", "out = factor * x + y, rounded once",
     "out f32[n], x f32[n], y f32[n], factor f32", "2*n", "12*n", 2,
     run<float, Elementwise::kAxpy>},
    {"axpy_f64", "out = factor * x + y, rounded once",
     "out f64[n], x f64[n], y f64[n], factor f64", "2*n", "24*n", 2,
     run<double, Elementwise::kAxpy>},
    {"scale_f32", "out = factor * in", "out f32[n], in f32[n], factor f32", "n", "8*n", 2,
     run<float, Elementwise::kScale>},
    {"scale_f64", "out = factor * in", "out f64[n], in f64[n], factor f64", "n", "16*n", 2,
     run<double, Elementwise::kScale>},
    {"exp_f32", "out = e^in", "out f32[n], in f32[n]", "20*n", "8*n", 2,
     run<float, Elementwise::kExp>},
    {"tanh_f32", "out = tanh(in)", "out f32[n], in f32[n]", "40*n", "8*n", 2,
     run<float, Elementwise::kTanh>},
    {"sigmoid_f32", "out = 1 / (1 + e^-in)", "out f32[n], in f32[n]", "24*n", "8*n", 2,
     run<float, Elementwise::kSigmoid>},
    {"gelu_f32", "out = in / 2 * (1 + tanh(sqrt(2 / pi) (in + 0.044715 in^3)))",
     "out f32[n], in f32[n]", "30*n", "8*n", 2, run<float, Elementwise::kGelu>},
};

}  // namespace

std::span<const Builtin> elementwise_rows() { return kRows; }

}  // namespace hearth::compute

// Products as built-ins: strides, and which of them a product can write.
#include <fmt/format.h>

#include "compute/builtin/gemm.h"
#include "compute/builtin/rows.h"

namespace hearth::compute {
namespace {

// Strides of extents of 1 mean nothing: the others decide what lies next to what.
template <class T>
MatrixView<T> view_of(const Tensor& tensor) {
  MatrixView<T> view{reinterpret_cast<T*>(tensor.data), tensor.strides[0], tensor.strides[1]};
  if (tensor.shape[1] == 1) {
    view.col_stride = 1;
  } else if (tensor.shape[0] == 1) {
    view.row_stride = view.col_stride == 1 ? tensor.shape[1] : 1;
  }
  return view;
}

template <class T>
Result<> run_gemm(const Bindings& arguments, const Workers& workers) {
  const Tensor& out = arguments.tensors[0];
  const Tensor& a = arguments.tensors[1];
  const Tensor& b = arguments.tensors[2];
  GemmCall<T> call{out.shape[0], out.shape[1], a.shape[1], view_of<const T>(a),
                   view_of<const T>(b), view_of<T>(out)};
  if (call.c.col_stride != 1 && call.c.row_stride != 1) {
    return fail(Code::kInvalidArgument,
                fmt::format("'out' has strides [{}, {}]: one of them must be 1; write to a contiguous "
                            "tensor and copy it",
                            call.c.row_stride, call.c.col_stride));
  }
  gemm(call, workers);
  return {};
}

template <class T>
Result<> run_gemv(const Bindings& arguments, const Workers& workers) {
  T* const out = data_of<T>(arguments, 0);
  const T* const x = data_of<const T>(arguments, 2);
  const std::int64_t m = arguments.tensors[1].shape[0];
  const std::int64_t k = arguments.tensors[1].shape[1];
  const auto a = view_of<const T>(arguments.tensors[1]);
  if (a.col_stride == 1) {
    gemv(m, k, a.data, a.row_stride, x, out, workers);
  } else {
    // Columns that are contiguous, or nothing that is: x' times the transpose.
    gemm(GemmCall<T>{1, m, k, {x, k, 1}, {a.data, a.col_stride, a.row_stride}, {out, m, 1}},
         workers);
  }
  return {};
}

constexpr Builtin kRows[] = {
    {"gemm_f32", "out = a b", "out f32[m, n] strided, a f32[m, k] strided, b f32[k, n] strided",
     "2*m*n*k", "4*(m*n + m*k + k*n)", 2, run_gemm<float>},
    {"gemm_f64", "out = a b", "out f64[m, n] strided, a f64[m, k] strided, b f64[k, n] strided",
     "2*m*n*k", "8*(m*n + m*k + k*n)", 2, run_gemm<double>},
    {"gemv_f32", "out = a x", "out f32[m], a f32[m, k] strided, x f32[k]", "2*m*k",
     "4*(m + m*k + k)", 2, run_gemv<float>},
    {"gemv_f64", "out = a x", "out f64[m], a f64[m, k] strided, x f64[k]", "2*m*k",
     "8*(m + m*k + k)", 2, run_gemv<double>},
};

}  // namespace

std::span<const Builtin> linear_rows() { return kRows; }

}  // namespace hearth::compute

// cuBLAS as a test has it: device memory is the host's, matrices lie by columns, and what is asked
// is done only as cublas_api.h has it.  Built as a library, since loading it is what is tested.
#include <cstddef>
#include <cstdlib>

namespace {

constexpr int kNotInitialized = 1, kAllocationFailed = 3, kInvalidValue = 7, kExecutionFailed = 13;
constexpr int kFailingDepth = 77, kHugeDepth = 78;

struct Handle {
  bool has_stream = false, has_math = false, has_scalars = false;
};
int n_handles = 0;

template <class T>
int multiply(void* handle, int of_first, int of_second, int m, int n, int k, const T* alpha,
             const T* a, int a_stride, const T* b, int b_stride, const T* beta, T* c,
             int c_stride) {
  const auto* const set = static_cast<const Handle*>(handle);
  const bool is_set = set->has_stream && set->has_math && set->has_scalars;
  if (!is_set || of_first != 0 || of_second != 0 || *alpha != 1 || *beta != 0 || m < 1 || n < 1 ||
      k < 1 || a_stride < m || b_stride < k || c_stride < m) {
    return kInvalidValue;
  }
  if (k == kFailingDepth) return kExecutionFailed;
  if (k == kHugeDepth) return kAllocationFailed;
  const auto at = [](std::ptrdiff_t row, std::ptrdiff_t col, int stride) {
    return row + col * stride;
  };
  for (int col = 0; col < n; ++col) {
    for (int row = 0; row < m; ++row) {
      T sum = 0;
      for (int i = 0; i < k; ++i) sum += a[at(row, i, a_stride)] * b[at(i, col, b_stride)];
      c[at(row, col, c_stride)] = sum;
    }
  }
  return 0;
}

}  // namespace

extern "C" {
int fake_cublas_handles() { return n_handles; }
int cublasCreate_v2(void** handle) {
  if (std::getenv("HEARTH_FAKE_CUBLAS_HAS_NO_GPU") != nullptr) return kNotInitialized;
  ++n_handles;
  return *handle = new Handle, 0;
}
int cublasDestroy_v2(void* handle) {
  --n_handles;
  delete static_cast<Handle*>(handle);
  return 0;
}
int cublasGetVersion_v2(void*, int* version) { return *version = 120401, 0; }
int cublasSetStream_v2(void* handle, void* stream) {
  static_cast<Handle*>(handle)->has_stream = stream == nullptr;
  return 0;
}
int cublasSetMathMode(void* handle, int mode) {
  static_cast<Handle*>(handle)->has_math = mode == 0;
  return 0;
}
int cublasSetPointerMode_v2(void* handle, int mode) {
  static_cast<Handle*>(handle)->has_scalars = mode == 0;
  return 0;
}
int cublasSgemm_v2(void* handle, int of_first, int of_second, int m, int n, int k,
                   const float* alpha, const float* a, int a_stride, const float* b, int b_stride,
                   const float* beta, float* c, int c_stride) {
  return multiply(handle, of_first, of_second, m, n, k, alpha, a, a_stride, b, b_stride, beta, c,
                  c_stride);
}
int cublasDgemm_v2(void* handle, int of_first, int of_second, int m, int n, int k,
                   const double* alpha, const double* a, int a_stride, const double* b,
                   int b_stride, const double* beta, double* c, int c_stride) {
  return multiply(handle, of_first, of_second, m, n, k, alpha, a, a_stride, b, b_stride, beta, c,
                  c_stride);
}
}

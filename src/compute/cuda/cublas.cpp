#include "compute/cuda/cublas.h"

#include <fmt/format.h>

#include <climits>
#include <utility>

#include "compute/cuda/library_search.h"

namespace hearth::compute {
namespace {

// As cublas_api.h has them.
constexpr int kSuccess = 0;
constexpr int kAllocationFailed = 3;
constexpr int kAsIs = 0;         // CUBLAS_OP_N
constexpr int kMathDefault = 0;  // CUBLAS_DEFAULT_MATH
constexpr int kHostScalars = 0;  // CUBLAS_POINTER_MODE_HOST

template <class T>
using Gemm = int(void* handle, int of_first, int of_second, int m, int n, int k, const T* alpha,
                 const T* a, int a_stride, const T* b, int b_stride, const T* beta, T* c,
                 int c_stride);

std::string_view status_name(int status) {
  static constexpr std::pair<int, std::string_view> kNames[] = {
      {1, "CUBLAS_STATUS_NOT_INITIALIZED"}, {3, "CUBLAS_STATUS_ALLOC_FAILED"},
      {7, "CUBLAS_STATUS_INVALID_VALUE"},   {8, "CUBLAS_STATUS_ARCH_MISMATCH"},
      {11, "CUBLAS_STATUS_MAPPING_ERROR"},  {13, "CUBLAS_STATUS_EXECUTION_FAILED"},
      {14, "CUBLAS_STATUS_INTERNAL_ERROR"}, {15, "CUBLAS_STATUS_NOT_SUPPORTED"},
  };
  for (const auto& [number, name] : kNames) {
    if (number == status) return name;
  }
  return "an unknown status";
}

Result<SharedLibrary> find_library(std::span<const std::string> candidates) {
  return SharedLibrary::open(candidates, "multiplying at a GPU's full speed",
                             "pip's nvidia-cublas-cu12, and name its libcublas.so.12 in "
                             "HEARTH_CUBLAS");
}

}  // namespace

struct Cublas::Functions {
  int (*create)(void** handle);
  int (*destroy)(void* handle);
  int (*version)(void* handle, int* version);
  int (*set_stream)(void* handle, void* stream);
  int (*set_math)(void* handle, int mode);
  int (*set_scalars)(void* handle, int mode);
  Gemm<float>* sgemm;
  Gemm<double>* dgemm;

  template <class Bind>
  friend bool bind_functions(Functions& f, Bind&& bind) {
    return bind("cublasCreate_v2", f.create) && bind("cublasDestroy_v2", f.destroy) &&
           bind("cublasGetVersion_v2", f.version) && bind("cublasSetStream_v2", f.set_stream) &&
           bind("cublasSetMathMode", f.set_math) &&
           bind("cublasSetPointerMode_v2", f.set_scalars) && bind("cublasSgemm_v2", f.sgemm) &&
           bind("cublasDgemm_v2", f.dgemm);
  }
};

std::vector<std::string> cublas_candidates() {
  return library_candidates("HEARTH_CUBLAS", {"libcublas.so.13", "libcublas.so.12"});
}

Cublas::Cublas(const Functions& functions) : functions_(std::make_unique<Functions>(functions)) {}

Result<> Cublas::find(std::span<const std::string> candidates) {
  HEARTH_TRY([[maybe_unused]] const SharedLibrary some, find_library(candidates));
  return {};
}

// One may be there and not fit the driver, so whether it gives a handle decides.
Result<std::unique_ptr<Cublas>> Cublas::open(std::span<const std::string> candidates) {
  HEARTH_TRY_VOID(find(candidates));
  Error why{Code::kUnavailable, {}};
  for (const std::string& candidate : candidates) {
    const Result<SharedLibrary> library = find_library(std::span(&candidate, 1));
    if (!library) continue;
    auto opened = open_one(*library);
    if (opened) return opened;
    why = std::move(opened).error();
  }
  return std::unexpected(std::move(why));
}

Result<std::unique_ptr<Cublas>> Cublas::open_one(const SharedLibrary& library) {
  Functions functions{};
  HEARTH_TRY_VOID(library.bind_all(functions, "version 11 or later"));
  std::unique_ptr<Cublas> made(new Cublas(functions));
  made->library_ = library.name();
  const Functions& f = *made->functions_;
  if (const int status = f.create(&made->handle_); status != kSuccess) {
    made->handle_ = nullptr;
    return fail(Code::kUnavailable,
                fmt::format("{} can't use the GPU: {}", library.name(), status_name(status)));
  }
  HEARTH_TRY_VOID(made->check(f.version(made->handle_, &made->version_), "asking its version"));
  HEARTH_TRY_VOID(made->check(f.set_stream(made->handle_, nullptr), "taking a stream"));
  HEARTH_TRY_VOID(made->check(f.set_math(made->handle_, kMathDefault), "setting its arithmetic"));
  HEARTH_TRY_VOID(made->check(f.set_scalars(made->handle_, kHostScalars), "placing its factors"));
  return made;
}

Cublas::~Cublas() {
  if (handle_ != nullptr) functions_->destroy(handle_);
}

Result<> Cublas::check(int status, const char* what) const {
  if (status == kSuccess) return {};
  return fail(status == kAllocationFailed ? Code::kOutOfBudget : Code::kInternal,
              fmt::format("{}: {} failed: {}", library_, what, status_name(status)));
}

bool Cublas::takes(const DeviceProduct& product) {
  return product.k > 0 && product.m <= INT_MAX && product.n <= INT_MAX && product.k <= INT_MAX;
}

// A matrix whose rows are contiguous is, by columns, its transpose: out' = b' a'.
Result<> Cublas::multiply(const DeviceProduct& product,
                          std::span<const CudaAddress> buffers) const {
  const auto run = [&]<class T>(Gemm<T>* gemm) {
    const T one = 1, zero = 0;
    const auto at = [&](BufferIndex index) { return reinterpret_cast<T*>(buffers[index.value]); };
    const int m = static_cast<int>(product.m), n = static_cast<int>(product.n),
              k = static_cast<int>(product.k);
    return gemm(handle_, kAsIs, kAsIs, n, m, k, &one, at(product.b), n, at(product.a), k, &zero,
                at(product.out), n);
  };
  return check(product.is_double ? run(functions_->dgemm) : run(functions_->sgemm), "a product");
}

}  // namespace hearth::compute

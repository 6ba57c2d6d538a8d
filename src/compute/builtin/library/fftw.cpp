#include "compute/builtin/library/fftw.h"

#include <fmt/format.h>

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "compute/builtin/library/shared_library.h"

namespace hearth::compute {
namespace {

// What fftw3.h says.
using Plan = struct PlanOpaque*;
constexpr unsigned kUnaligned = 1U << 1;
constexpr unsigned kPreserveInput = 1U << 4;
constexpr unsigned kEstimate = 1U << 6;

constexpr std::size_t kPlansKept = 16;

// The names of one precision.
template <class T>
struct Names;
template <>
struct Names<float> {
  static constexpr const char* kLibrary = "libfftw3f.so.3";
  static constexpr const char* kPackage = "libfftw3-single3";
  static constexpr const char* kPrefix = "fftwf_";
};
template <>
struct Names<double> {
  static constexpr const char* kLibrary = "libfftw3.so.3";
  static constexpr const char* kPackage = "libfftw3-double3";
  static constexpr const char* kPrefix = "fftw_";
};

template <class T>
struct Fftw {
  Plan (*plan_dft_1d)(int n, T* in, T* out, int sign, unsigned flags);
  Plan (*plan_dft_r2c_1d)(int n, T* in, T* out, unsigned flags);
  void (*execute_dft)(Plan plan, T* in, T* out);
  void (*execute_dft_r2c)(Plan plan, T* in, T* out);
  void (*destroy_plan)(Plan plan);
};

template <class T>
Result<Fftw<T>> load() {
  const std::vector<std::string> names = {Names<T>::kLibrary};
  HEARTH_TRY(const SharedLibrary library,
             SharedLibrary::open(names, "the Fourier transform", Names<T>::kPackage));
  Fftw<T> fftw{};
  const auto bind = [&](const char* name, auto& function) {
    return library.bind((std::string(Names<T>::kPrefix) + name).c_str(), function);
  };
  HEARTH_TRY_VOID(bind("plan_dft_1d", fftw.plan_dft_1d));
  HEARTH_TRY_VOID(bind("plan_dft_r2c_1d", fftw.plan_dft_r2c_1d));
  HEARTH_TRY_VOID(bind("execute_dft", fftw.execute_dft));
  HEARTH_TRY_VOID(bind("execute_dft_r2c", fftw.execute_dft_r2c));
  HEARTH_TRY_VOID(bind("destroy_plan", fftw.destroy_plan));
  return fftw;
}

// Plans by kind and size, the oldest dropped.  A run holds the lock to its end, so that nobody drops
// the plan that it runs by.
template <class T>
struct Shelf {
  struct Entry {
    Transform kind;
    std::int64_t n;
    Plan plan;
  };
  std::mutex mutex;
  std::deque<Entry> entries;
};

template <class T>
Result<Plan> plan_for(const Fftw<T>& fftw, Shelf<T>& shelf, Transform kind, std::int64_t n, T* in,
                      T* out) {
  for (const auto& entry : shelf.entries) {
    if (entry.kind == kind && entry.n == n) return entry.plan;
  }
  constexpr unsigned kFlags = kEstimate | kUnaligned | kPreserveInput;
  const int size = static_cast<int>(n);
  const int sign = kind == Transform::kForward ? -1 : 1;
  Plan const plan = kind == Transform::kReal ? fftw.plan_dft_r2c_1d(size, in, out, kFlags)
                                             : fftw.plan_dft_1d(size, in, out, sign, kFlags);
  if (plan == nullptr) {
    return fail(Code::kInternal, fmt::format("FFTW has no plan for a transform of {} numbers", n));
  }
  shelf.entries.push_back({kind, n, plan});
  if (shelf.entries.size() > kPlansKept) {
    fftw.destroy_plan(shelf.entries.front().plan);
    shelf.entries.pop_front();
  }
  return plan;
}

template <class T>
Result<> run(Transform kind, std::int64_t n_rows, std::int64_t n, const T* in, T* out,
             const Workers& workers) {
  if (n_rows == 0 || n == 0) return {};
  if (n > kTransformMax || n_rows > kTransformMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} rows of {} numbers: at most {} of either are possible", n_rows, n,
                            kTransformMax));
  }
  static const Result<Fftw<T>> kLoaded = load<T>();
  if (!kLoaded) return std::unexpected(kLoaded.error());
  const Fftw<T>& fftw = *kLoaded;
  static Shelf<T>& shelf = *new Shelf<T>;  // Its plans are FFTW's to the end of the process.
  const std::lock_guard lock(shelf.mutex);
  T* const input = const_cast<T*>(in);  // Its plans leave it as it is.
  HEARTH_TRY(Plan const plan, plan_for(fftw, shelf, kind, n, input, out));
  const bool is_real = kind == Transform::kReal;
  const std::int64_t in_stride = is_real ? n : 2 * n;
  const std::int64_t out_stride = is_real ? 2 * (n / 2 + 1) : 2 * n;
  workers.run(static_cast<std::uint32_t>(n_rows), [&](std::uint32_t row) {
    T* const to = out + row * out_stride;
    const auto execute = is_real ? fftw.execute_dft_r2c : fftw.execute_dft;
    execute(plan, input + row * in_stride, to);
    if (kind != Transform::kBackward) return;
    const T scale = T{1} / static_cast<T>(n);
    for (std::int64_t i = 0; i < out_stride; ++i) to[i] *= scale;
  });
  return {};
}

}  // namespace

Result<> transform(Transform kind, std::int64_t n_rows, std::int64_t n, const float* in, float* out,
                   const Workers& workers) {
  return run(kind, n_rows, n, in, out, workers);
}
Result<> transform(Transform kind, std::int64_t n_rows, std::int64_t n, const double* in,
                   double* out, const Workers& workers) {
  return run(kind, n_rows, n, in, out, workers);
}

}  // namespace hearth::compute

// cuBLAS: NVIDIA's own products for its GPUs, opened when first needed and never linked.
//
// A product of ours gives the CPU's bits (builtin/device_plan.h); cuBLAS gives its own, which are
// the same on every run with the same version on the same kind of GPU (level D0) and differ
// elsewhere, but it knows each GPU's caches and tensor cores.  So a device asks it only where its
// owner wants speed more than equal bits.  Arithmetic stays what the type says: TF32 and emulated
// doubles are not asked for (kMathDefault).
//
// libcublas.so.13 or .12: the file that HEARTH_CUBLAS names, or the first that library_search.h
// finds.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/builtin/device_plan.h"
#include "compute/builtin/library/shared_library.h"
#include "compute/cuda/driver.h"

namespace hearth::compute {

// Files and names to try, best first.
std::vector<std::string> cublas_candidates();

// Holds a handle, and with it some memory of the GPU whose context was current when it was opened.
//
// Threading: externally synchronised, that context current.
class Cublas {
 public:
  // kUnavailable where none of these is there.
  static Result<> find(std::span<const std::string> candidates);
  // The first of these that can use the GPU; kUnavailable says that none is there, or why the last
  // that is can't.
  static Result<std::unique_ptr<Cublas>> open(std::span<const std::string> candidates);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  const std::string& library() const { return library_; }
  int version() const { return version_; }  // 120401 is 12.4.1.

  // Whether multiply() takes it: its sizes are 32-bit numbers, and there is something to sum up.
  static bool takes(const DeviceProduct& product);
  // Begins out = a b on the default stream; rows are contiguous.  kOutOfBudget where the GPU's
  // memory does not suffice.  That it has ended, or how, is known once the context is synchronised.
  Result<> multiply(const DeviceProduct& product, std::span<const CudaAddress> buffers) const;

 private:
  struct Functions;
  explicit Cublas(const Functions& functions);
  static Result<std::unique_ptr<Cublas>> open_one(const SharedLibrary& library);
  Result<> check(int status, const char* what) const;

  std::unique_ptr<const Functions> functions_;
  std::string library_;
  int version_ = 0;
  void* handle_ = nullptr;
};

}  // namespace hearth::compute

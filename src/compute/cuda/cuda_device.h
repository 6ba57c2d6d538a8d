// Built-ins on an NVIDIA GPU, through its driver; kernels are compiled by NVRTC for the GPU at hand.
//
// Isolation is weaker than on the CPU: a kernel that faults poisons the context of the whole process.
// After such an error the device refuses further runs.  These are the house's own kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "compute/builtin/plan_device.h"
#include "compute/cuda/cublas.h"
#include "compute/cuda/driver.h"

namespace hearth::compute {

// What products are made with.
enum class Products : std::uint8_t {
  kSameBits,  // The house's kernel: the CPU's bits (level D2).
  kFastest,   // cuBLAS where it is: bits of its own, on this kind of GPU alone the same (D0).
};

class CudaDevice final : public PlanDevice {
 public:
  // Which GPU it would be; kUnavailable without driver, GPU or NVRTC.
  static Result<DeviceInfo> look();
  // The same, and a cuBLAS that is there; whether it can use the GPU, a run shows.
  static Result<DeviceInfo> look_for_cublas();
  // The first GPU, with the kernels compiled for it; kUnavailable without driver, GPU or NVRTC.
  static Result<std::unique_ptr<CudaDevice>> open(Products products = Products::kSameBits);
  // Device 0 of `driver`, which outlives it, with a cubin that holds the kernels.  Of `cublas`, files
  // and names, the first that opens makes the products.
  static Result<std::unique_ptr<CudaDevice>> open(const CudaDriver& driver, std::string_view cubin,
                                                  std::span<const std::string> cublas = {});

  ~CudaDevice() override;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const DeviceInfo& info() const override { return info_; }
  int architecture() const { return architecture_; }  // 90 is sm_90.
  const Cublas* cublas() const { return cublas_.get(); }  // Null: the house's kernel makes products.

  // kUnavailable, too, once a run has failed on the GPU.  Threading: any thread, one at a time.
  Result<std::uint32_t> run(const DevicePlan& plan, const StillWanted& still_wanted) override;

 private:
  class Memory;
  explicit CudaDevice(const CudaDriver& driver) : driver_(driver) {}

  Result<> prepare();
  Result<> check(int error, std::string_view what) const;
  Result<> wait();
  Result<> compute(const DevicePlan& plan, std::span<const CudaAddress> buffers,
                   const StillWanted& still_wanted);
  Result<> launch(const Launch& launch, std::span<const CudaAddress> buffers) const;

  const CudaDriver& driver_;
  int device_ = 0;
  int architecture_ = 0;
  DeviceInfo info_;
  CudaHandle context_ = nullptr;
  CudaHandle module_ = nullptr;
  std::unique_ptr<const Cublas> cublas_;
  bool is_poisoned_ = false;
};

}  // namespace hearth::compute

// Built-ins on an NVIDIA GPU, through its driver; kernels are compiled by NVRTC for the GPU at hand.
//
// Isolation is weaker than on the CPU: a kernel that faults poisons the context of the whole process.
// After such an error the device refuses further runs.  These are the house's own kernels.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "compute/builtin/device_plan.h"
#include "compute/cuda/driver.h"

namespace hearth::compute {

class CudaDevice {
 public:
  // The first GPU, with the kernels compiled for it; kUnavailable without driver, GPU or NVRTC.
  static Result<std::unique_ptr<CudaDevice>> open();
  // Device 0 of `driver`, which outlives it, with a cubin that holds the kernels.
  static Result<std::unique_ptr<CudaDevice>> open(const CudaDriver& driver, std::string_view cubin);

  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const std::string& name() const { return name_; }
  int architecture() const { return architecture_; }  // 90 is sm_90.

  // Copies inputs there, launches, waits, and copies outputs back.  kOutOfBudget where the GPU's
  // memory does not suffice; kUnavailable once a run has failed on the GPU.
  // Threading: one caller at a time, any thread.
  Result<> run(const DevicePlan& plan);

 private:
  class Memory;
  explicit CudaDevice(const CudaDriver& driver) : driver_(driver) {}

  Result<> prepare();
  Result<> check(int error, std::string_view what) const;
  Result<> carry_out(const DevicePlan& plan);
  Result<> launch(const Launch& launch, std::span<const CudaAddress> buffers) const;

  const CudaDriver& driver_;
  int device_ = 0;
  int architecture_ = 0;
  std::string name_;
  CudaHandle context_ = nullptr;
  CudaHandle module_ = nullptr;
  bool is_poisoned_ = false;
};

}  // namespace hearth::compute

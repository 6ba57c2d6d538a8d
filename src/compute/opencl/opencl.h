// Built-ins on an OpenCL device: a GPU, or the CPU by way of PoCL.
//
// The ICD loader (libOpenCL.so.1) is opened when it is first needed; nothing of OpenCL is needed to
// build.  A device is taken if it computes with doubles, GPUs first.
//
// Isolation is weaker than on the CPU: a driver's code runs in this process, and what a kernel may
// touch is up to it.  These are the house's own kernels, and a hub has them run in a process apart
// (compute/devices); those of others run in a jail (device_kernel.h).
#pragma once

#include <memory>

#include "base/result.h"
#include "compute/builtin/plan_device.h"

namespace hearth::compute {

class OpenCl final : public PlanDevice {
 public:
  // Which device it would be.  kUnavailable, with the reason, where there is no loader, no driver,
  // or no device with doubles.
  static Result<DeviceInfo> look();
  // Errors as look().  Compiles the kernels: up to a second or two where the driver has not kept
  // them.
  static Result<std::unique_ptr<OpenCl>> open();
  ~OpenCl() override;
  OpenCl(const OpenCl&) = delete;
  OpenCl& operator=(const OpenCl&) = delete;

  const DeviceInfo& info() const override;
  Result<std::uint32_t> run(const DevicePlan& plan, const StillWanted& still_wanted) override;

 private:
  struct State;
  explicit OpenCl(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::compute

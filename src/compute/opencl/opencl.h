// Built-ins on an OpenCL device: a GPU, or the CPU by way of PoCL.
//
// The ICD loader (libOpenCL.so.1) is opened when it is first needed; nothing of OpenCL is needed to
// build.  A device is taken if it computes with doubles, GPUs first.
//
// Isolation is weaker than on the CPU: a driver's code runs in this process, and what a kernel may
// touch is up to it.  These are the house's own kernels; those of others run in a worker
// (device_kernel.h).
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "compute/builtin/device_plan.h"

namespace hearth::compute {

class OpenCl {
 public:
  // kUnavailable, with the reason, where there is no loader, no driver, or no device with doubles.
  // Compiles the kernels: up to a second or two where the driver has not kept them.
  static Result<std::unique_ptr<OpenCl>> open();
  ~OpenCl();
  OpenCl(const OpenCl&) = delete;
  OpenCl& operator=(const OpenCl&) = delete;

  const std::string& device_name() const;

  // Copies inputs there, launches, and copies outputs back.
  // Threading: one caller at a time.
  Result<> run(const DevicePlan& plan);

 private:
  struct State;
  explicit OpenCl(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::compute

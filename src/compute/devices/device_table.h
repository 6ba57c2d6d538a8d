// The kinds of devices that built-ins run on beside the processor, by name.
//
// "gemm_f32@opencl" is gemm_f32 there; a name without a device, or with "cpu", is the processor's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "compute/builtin/builtin.h"
#include "compute/builtin/plan_device.h"

namespace hearth::compute {

inline constexpr std::string_view kProcessor = "cpu";

struct DeviceRow {
  std::string_view name;   // What stands behind the '@'.
  std::string_view about;  // One line for a list.
  // Which device it is here; kUnavailable says what is missing, and what brings it.
  Result<DeviceInfo> (*look)();
  Result<std::unique_ptr<PlanDevice>> (*open)();
};

// All of them, in an order that stays.
std::span<const DeviceRow> device_rows();
// "cpu, opencl, cuda or cublas".
std::string device_names();

// A kernel's name, taken apart; views of `name`.
struct PlacedName {
  std::string_view kernel;
  std::string_view device;  // Empty: the processor, by its name or by none.
};
PlacedName placed_name(std::string_view name);
// Together again: "gemm_f32@opencl", or the kernel's alone.  kInvalidArgument where the name has
// another device already.
Result<std::string> name_on(std::string_view kernel, std::string_view device);

// Whether built-ins of this name have a kernel for devices.
bool runs_on_devices(std::string_view builtin);

// The row of a PlacedName's device; null: the processor.  kNotFound for a device that is none,
// kUnsupported for a built-in without a kernel for devices, each with the names that there are.
Result<const DeviceRow*> device_for(std::string_view builtin, std::string_view device);

}  // namespace hearth::compute

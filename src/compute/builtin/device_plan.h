// Built-ins on a GPU: one source for CUDA and OpenCL, and what to launch for a call.
//
// A kernel is written once, in the part of C that both know, under a prelude of macros for each; a plan
// says which buffers a call needs and which kernels run over them, in what order.  opencl/ and cuda/
// carry plans out.  The sums of a product and the cells of a stencil are the expressions of the CPU's
// kernels, in their order: results are the same bits (level D2); sums are in blocks of their own (D1).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "compute/signature.h"

namespace hearth::compute {

enum class Dialect : std::uint8_t { kCuda, kOpenCl };

// The words that kernels are written in: types, KERNEL, GLOBAL, LOCAL, BARRIER, ITEM and others.
std::string_view device_prelude(Dialect dialect);

// All kernels, complete: nothing is included.
std::string device_source(Dialect dialect);

// Memory on the device: filled from `in` before the first launch, copied to `out` after the last.
struct DeviceBuffer {
  std::size_t bytes = 0;
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
};

struct BufferIndex {
  std::uint32_t value;
};
using LaunchArgument = std::variant<BufferIndex, std::int64_t, float, double>;

struct Launch {
  std::string_view kernel;
  std::uint32_t groups[2] = {1, 1};
  std::uint32_t group_size[2] = {1, 1};  // Work items; 256 in all at most.
  std::vector<LaunchArgument> arguments;
};

// out[m, n] = a[m, k] b[k, n], of contiguous rows: what the device's own library may do instead of
// the launches, with its own bits.
struct DeviceProduct {
  BufferIndex out, a, b;
  std::int64_t m = 0, n = 0, k = 0;
  bool is_double = false;
};

struct DevicePlan {
  std::vector<DeviceBuffer> buffers;
  std::vector<Launch> launches;  // One after another, each sees what those before it wrote.
  std::optional<DeviceProduct> product = std::nullopt;  // Of a plan that is one, and has a launch.
};

// Names of the built-ins that can be planned.
std::span<const std::string_view> device_builtins();

// kUnsupported for a built-in that has no kernel for devices, strides other than rows one after
// another, and sizes beyond what a device's grid counts.
Result<DevicePlan> plan_for_device(std::string_view builtin, const Bindings& arguments);

}  // namespace hearth::compute

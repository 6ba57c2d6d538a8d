#include "compute/devices/device_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "compute/cuda/cuda_device.h"
#include "compute/opencl/opencl.h"

namespace hearth::compute {
namespace {

Result<std::unique_ptr<PlanDevice>> open_opencl() { return OpenCl::open(); }
Result<std::unique_ptr<PlanDevice>> open_cuda() { return CudaDevice::open(); }

// Whoever names cuBLAS wants it, and not the house's products under its name.
Result<std::unique_ptr<PlanDevice>> open_cublas() {
  HEARTH_TRY_VOID(Cublas::find(cublas_candidates()));
  HEARTH_TRY(std::unique_ptr<CudaDevice> device, CudaDevice::open(Products::kFastest));
  if (device->cublas() != nullptr) return device;
  return fail(
      Code::kUnavailable,
      fmt::format("cuBLAS is installed and can't use {}: run it on cuda", device->info().name));
}

constexpr DeviceRow kRows[] = {
    {"opencl", "an OpenCL device, GPUs first; the processor by way of PoCL", OpenCl::look,
     open_opencl},
    {"cuda", "an NVIDIA GPU: products and sweeps with the processor's bits", CudaDevice::look,
     open_cuda},
    {"cublas", "an NVIDIA GPU, products by cuBLAS: its speed, and bits of its own",
     CudaDevice::look_for_cublas, open_cublas},
};

}  // namespace

std::span<const DeviceRow> device_rows() { return kRows; }

std::string device_names() {
  std::string names(kProcessor);
  for (const DeviceRow& row : kRows) {
    names += &row == std::end(kRows) - 1 ? " or " : ", ";
    names += row.name;
  }
  return names;
}

PlacedName placed_name(std::string_view name) {
  const std::size_t at = name.rfind('@');
  if (at == std::string_view::npos) return {name, {}};
  const std::string_view device = name.substr(at + 1);
  return {name.substr(0, at), device == kProcessor ? std::string_view() : device};
}

Result<std::string> name_on(std::string_view kernel, std::string_view device) {
  if (device.empty()) return std::string(kernel);
  std::string name = fmt::format("{}@{}", kernel, device);
  if (!kernel.contains('@')) return name;
  if (placed_name(kernel).device == placed_name(name).device) return std::string(kernel);
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' names a device, and '{}' is another one: give one of them", kernel,
                          device));
}

bool runs_on_devices(std::string_view builtin) {
  return std::ranges::count(device_builtins(), builtin) > 0;
}

Result<const DeviceRow*> device_for(std::string_view builtin, std::string_view device) {
  if (device.empty()) return nullptr;
  const auto* const row = std::ranges::find(kRows, device, &DeviceRow::name);
  if (row == std::end(kRows)) {
    return fail(Code::kNotFound,
                fmt::format("there is no device '{}': {} can be named", device, device_names()));
  }
  if (runs_on_devices(builtin)) return row;
  return fail(Code::kUnsupported,
              fmt::format("{0} has no kernel for devices ({1} have): run it on the CPU, as '{0}'",
                          builtin, fmt::join(device_builtins(), ", ")));
}

}  // namespace hearth::compute

#include "compute/cuda/driver.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "compute/builtin/library/shared_library.h"

namespace hearth::compute {
namespace {

Result<CudaDriver> load() {
  const std::vector<std::string> names = {"libcuda.so.1"};
  HEARTH_TRY(const SharedLibrary library, SharedLibrary::open(names, "CUDA", "NVIDIA's driver"));
  CudaDriver driver{};
  std::string missing;
  const auto bind = [&]<class F>(const char* name, F*& function) {
    function = library.find<F>(name);
    if (function == nullptr) missing = name;
  };
  bind("cuInit", driver.init);
  bind("cuDeviceGetCount", driver.device_count);
  bind("cuDeviceGet", driver.device_get);
  bind("cuDeviceGetName", driver.device_name);
  bind("cuDeviceGetAttribute", driver.device_attribute);
  bind("cuDevicePrimaryCtxRetain", driver.context_retain);
  bind("cuDevicePrimaryCtxRelease_v2", driver.context_release);
  bind("cuCtxSetCurrent", driver.context_set_current);
  bind("cuCtxSynchronize", driver.context_synchronize);
  bind("cuModuleLoadData", driver.module_load);
  bind("cuModuleUnload", driver.module_unload);
  bind("cuModuleGetFunction", driver.module_function);
  bind("cuMemAlloc_v2", driver.memory_take);
  bind("cuMemFree_v2", driver.memory_free);
  bind("cuMemcpyHtoD_v2", driver.copy_to_device);
  bind("cuMemcpyDtoH_v2", driver.copy_to_host);
  bind("cuLaunchKernel", driver.launch);
  bind("cuGetErrorName", driver.error_name);
  if (!missing.empty()) {
    return fail(Code::kUnavailable,
                fmt::format("{} has no function '{}': a driver for CUDA 11 or later is needed", library.name(), missing));
  }
  int n_devices = 0;
  if (driver.init(0) != 0 || driver.device_count(&n_devices) != 0 || n_devices == 0) {
    return fail(Code::kUnavailable, "NVIDIA's driver is installed, but no GPU of theirs is there");
  }
  return driver;
}

}  // namespace

Result<const CudaDriver*> cuda_driver() {
  static const Result<CudaDriver> kLoaded = load();
  if (!kLoaded) return std::unexpected(kLoaded.error());
  return &*kLoaded;
}

}  // namespace hearth::compute

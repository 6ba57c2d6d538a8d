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
  constexpr std::string_view kWanted = "a driver for CUDA 11 or later";
  CudaDriver driver{};
  HEARTH_TRY_VOID(library.bind("cuInit", driver.init, kWanted));
  HEARTH_TRY_VOID(library.bind("cuDeviceGetCount", driver.device_count, kWanted));
  HEARTH_TRY_VOID(library.bind("cuDeviceGet", driver.device_get, kWanted));
  HEARTH_TRY_VOID(library.bind("cuDeviceGetName", driver.device_name, kWanted));
  HEARTH_TRY_VOID(library.bind("cuDeviceGetAttribute", driver.device_attribute, kWanted));
  HEARTH_TRY_VOID(library.bind("cuDevicePrimaryCtxRetain", driver.context_retain, kWanted));
  HEARTH_TRY_VOID(library.bind("cuDevicePrimaryCtxRelease_v2", driver.context_release, kWanted));
  HEARTH_TRY_VOID(library.bind("cuCtxSetCurrent", driver.context_set_current, kWanted));
  HEARTH_TRY_VOID(library.bind("cuCtxSynchronize", driver.context_synchronize, kWanted));
  HEARTH_TRY_VOID(library.bind("cuModuleLoadData", driver.module_load, kWanted));
  HEARTH_TRY_VOID(library.bind("cuModuleUnload", driver.module_unload, kWanted));
  HEARTH_TRY_VOID(library.bind("cuModuleGetFunction", driver.module_function, kWanted));
  HEARTH_TRY_VOID(library.bind("cuMemAlloc_v2", driver.memory_take, kWanted));
  HEARTH_TRY_VOID(library.bind("cuMemFree_v2", driver.memory_free, kWanted));
  HEARTH_TRY_VOID(library.bind("cuMemcpyHtoD_v2", driver.copy_to_device, kWanted));
  HEARTH_TRY_VOID(library.bind("cuMemcpyDtoH_v2", driver.copy_to_host, kWanted));
  HEARTH_TRY_VOID(library.bind("cuLaunchKernel", driver.launch, kWanted));
  HEARTH_TRY_VOID(library.bind("cuGetErrorName", driver.error_name, kWanted));
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

#include "compute/cuda/driver.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "compute/builtin/library/shared_library.h"
#include "compute/cuda/library_search.h"

namespace hearth::compute {
namespace {

Result<CudaDriver> load() {
  HEARTH_TRY(const SharedLibrary library,
             SharedLibrary::open(library_candidates("HEARTH_CUDA", {"libcuda.so.1"}), "CUDA", "NVIDIA's driver"));
  CudaDriver driver{};
  HEARTH_TRY_VOID(library.bind_all(driver, "a driver for CUDA 11 or later"));
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

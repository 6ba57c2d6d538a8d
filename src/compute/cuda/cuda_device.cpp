#include "compute/cuda/cuda_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "compute/cuda/nvrtc.h"

namespace hearth::compute {

// The buffers of a run, freed at its end.
class CudaDevice::Memory {
 public:
  explicit Memory(const CudaDevice& device) : device_(device) {}
  ~Memory() {
    for (const CudaAddress address : addresses_) device_.driver_.memory_free(address);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  Result<> take(const DeviceBuffer& wanted) {
    CudaAddress address = 0;
    HEARTH_TRY_VOID(device_.check(device_.driver_.memory_take(&address, std::max<std::size_t>(wanted.bytes, 1)),
                                  fmt::format("taking {} bytes", wanted.bytes)));
    addresses_.push_back(address);
    if (wanted.in == nullptr || wanted.bytes == 0) return {};
    return device_.check(device_.driver_.copy_to_device(address, wanted.in, wanted.bytes), "copying an input");
  }

  std::span<const CudaAddress> addresses() const { return addresses_; }

 private:
  const CudaDevice& device_;
  std::vector<CudaAddress> addresses_;
};

Result<> CudaDevice::check(int error, std::string_view what) const {
  if (error == 0) return {};
  const char* name = nullptr;
  if (driver_.error_name(error, &name) != 0 || name == nullptr) name = "an unknown error";
  return fail(error == kCudaOutOfMemory ? Code::kOutOfBudget : Code::kInternal,
              fmt::format("CUDA: {} failed on {}: {}", what, info_.name.empty() ? "the GPU" : info_.name, name));
}

Result<> CudaDevice::prepare() {
  HEARTH_TRY_VOID(check(driver_.device_get(&device_, 0), "finding the GPU"));
  char name[256] = {};
  HEARTH_TRY_VOID(check(driver_.device_name(name, sizeof(name) - 1, device_), "asking its name"));
  info_.name = name;
  int major = 0;
  int minor = 0;
  HEARTH_TRY_VOID(check(driver_.device_attribute(&major, kCudaComputeMajor, device_), "asking its version"));
  HEARTH_TRY_VOID(check(driver_.device_attribute(&minor, kCudaComputeMinor, device_), "asking its version"));
  architecture_ = 10 * major + minor;
  HEARTH_TRY_VOID(check(driver_.context_retain(&context_, device_), "taking a context"));
  return check(driver_.context_set_current(context_), "entering the context");
}

Result<std::unique_ptr<CudaDevice>> CudaDevice::open(const CudaDriver& driver, std::string_view cubin,
                                                     std::span<const std::string> cublas) {
  std::unique_ptr<CudaDevice> device(new CudaDevice(driver));
  HEARTH_TRY_VOID(device->prepare());
  // The driver reads the image by its own header: it need not end with anything.
  HEARTH_TRY_VOID(device->check(driver.module_load(&device->module_, cubin.data()), "loading the kernels"));
  if (cublas.empty()) return device;
  if (auto opened = Cublas::open(cublas)) device->cublas_ = *std::move(opened);
  return device;
}

Result<DeviceInfo> CudaDevice::look() {
  HEARTH_TRY(const CudaDriver* const driver, cuda_driver());
  HEARTH_TRY([[maybe_unused]] const Nvrtc* const nvrtc, Nvrtc::open());
  int device = 0;
  char name[256] = {};
  if (driver->device_get(&device, 0) != 0 || driver->device_name(name, sizeof(name) - 1, device) != 0) {
    return fail(Code::kUnavailable, "the GPU does not say what it is");
  }
  return DeviceInfo{.name = name};
}

Result<DeviceInfo> CudaDevice::look_for_cublas() {
  HEARTH_TRY_VOID(Cublas::find(cublas_candidates()));
  return look();
}

Result<std::unique_ptr<CudaDevice>> CudaDevice::open(Products products) {
  HEARTH_TRY(const CudaDriver* const driver, cuda_driver());
  HEARTH_TRY(const Nvrtc* const nvrtc, Nvrtc::open());
  // Which code to compile, the GPU says.
  int device = 0;
  int major = 0;
  int minor = 0;
  if (driver->device_get(&device, 0) != 0 ||
      driver->device_attribute(&major, kCudaComputeMajor, device) != 0 ||
      driver->device_attribute(&minor, kCudaComputeMinor, device) != 0) {
    return fail(Code::kUnavailable, "the GPU does not say what code it runs");
  }
  HEARTH_TRY(const std::string cubin, nvrtc->compile(device_source(Dialect::kCuda), 10 * major + minor));
  const bool with_cublas = products == Products::kFastest;
  return open(*driver, cubin, with_cublas ? cublas_candidates() : std::vector<std::string>());
}

CudaDevice::~CudaDevice() {
  if (context_ == nullptr) return;
  driver_.context_set_current(context_);
  cublas_ = nullptr;
  if (module_ != nullptr) driver_.module_unload(module_);
  driver_.context_release(device_);
}

Result<> CudaDevice::launch(const Launch& launch, std::span<const CudaAddress> buffers) const {
  CudaHandle function = nullptr;
  const std::string name(launch.kernel);
  HEARTH_TRY_VOID(check(driver_.module_function(&function, module_, name.c_str()), "finding " + name));
  // The driver reads each argument where its pointer shows, by the size that the kernel has for it.
  union Value {
    CudaAddress address;
    std::int64_t integer;
    float single;
    double real;
  };
  std::vector<Value> values(launch.arguments.size());
  std::vector<void*> pointers;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const LaunchArgument& argument = launch.arguments[i];
    if (const auto* const at = std::get_if<BufferIndex>(&argument)) values[i].address = buffers[at->value];
    if (const auto* const integer = std::get_if<std::int64_t>(&argument)) values[i].integer = *integer;
    if (const auto* const single = std::get_if<float>(&argument)) values[i].single = *single;
    if (const auto* const real = std::get_if<double>(&argument)) values[i].real = *real;
    pointers.push_back(&values[i]);
  }
  return check(driver_.launch(function, launch.groups[0], launch.groups[1], 1, launch.group_size[0],
                              launch.group_size[1], 1, 0, nullptr, pointers.data(), nullptr),
               "launching " + name);
}

// What went wrong while kernels ran is told here, whichever it was.
Result<> CudaDevice::wait() {
  Result<> done = check(driver_.context_synchronize(), "a run");
  if (!done) is_poisoned_ = true;
  return done;
}

Result<> CudaDevice::compute(const DevicePlan& plan, std::span<const CudaAddress> buffers,
                             const StillWanted& still_wanted) {
  if (cublas_ != nullptr && plan.product && Cublas::takes(*plan.product)) {
    HEARTH_TRY_VOID(cublas_->multiply(*plan.product, buffers));
    return wait();
  }
  return launch_all(
      plan, still_wanted, [&](const Launch& next) { return launch(next, buffers); }, [&] { return wait(); });
}

Result<std::uint32_t> CudaDevice::run(const DevicePlan& plan, const StillWanted& still_wanted) {
  if (is_poisoned_) {
    return fail(Code::kUnavailable, fmt::format("an earlier run failed on {}: its context is of no more use; start Hearth again", info_.name));
  }
  HEARTH_TRY_VOID(check(driver_.context_set_current(context_), "entering the context"));
  Memory memory(*this);
  for (const DeviceBuffer& wanted : plan.buffers) HEARTH_TRY_VOID(memory.take(wanted));
  HEARTH_TRY_VOID(compute(plan, memory.addresses(), still_wanted));
  for (std::size_t i = 0; i < plan.buffers.size(); ++i) {
    const DeviceBuffer& wanted = plan.buffers[i];
    if (wanted.out == nullptr || wanted.bytes == 0) continue;
    HEARTH_TRY_VOID(check(driver_.copy_to_host(wanted.out, memory.addresses()[i], wanted.bytes), "copying a result"));
  }
  return count_copies(plan);
}

}  // namespace hearth::compute

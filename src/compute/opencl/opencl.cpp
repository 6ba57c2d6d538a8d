#include "compute/opencl/opencl.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "compute/builtin/library/shared_library.h"
#include "sandbox/device/opencl_api.h"
#include "sandbox/device_image.h"

namespace hearth::compute {
namespace {

using sandbox::ClFunctions;
using sandbox::ClHandle;
using sandbox::ClRelease;
using sandbox::ClStatus;
constexpr std::size_t kLogBytesMax = 4000;

Result<ClFunctions> load() {
  const std::vector<std::string> names = {"libOpenCL.so.1"};
  HEARTH_TRY(const SharedLibrary library,
             SharedLibrary::open(
                 names, "OpenCL",
                 "ocl-icd-libopencl1 and a driver (pocl-opencl-icd for the CPU)"));
  ClFunctions f{};
  HEARTH_TRY_VOID(library.bind_all(f));
  return f;
}

Result<> check(ClStatus status, std::string_view what) {
  if (status == 0) return {};
  // -4, -5 and -6: no memory for an object, no resources, no memory of the host's; -61: more than
  // one buffer may have.
  const bool is_memory = (status <= -4 && status >= -6) || status == -61;
  const Code code = is_memory ? Code::kOutOfBudget : Code::kInternal;
  return fail(code, fmt::format("OpenCL: {} failed with error {}", what, status));
}

using Owned = std::unique_ptr<void, ClRelease*>;

struct FoundDevice {
  ClFunctions functions{};
  ClHandle device = nullptr;
  DeviceInfo info;
};

Result<FoundDevice> find_device() {
  FoundDevice found;
  HEARTH_TRY(found.functions, load());
  found.device = sandbox::best_opencl_device(found.functions);
  if (found.device == nullptr) {
    return fail(Code::kUnavailable,
                "OpenCL has no device that computes with doubles: install a driver, for the CPU "
                "pocl-opencl-icd");
  }
  const auto ask = [&](std::uint32_t what, void* into, std::size_t bytes) {
    return found.functions.clGetDeviceInfo(found.device, what, bytes, into, nullptr) == 0;
  };
  char name[sandbox::kDeviceNameBytes] = {};
  if (ask(sandbox::kClDeviceName, name, sizeof name - 1)) found.info.name = name;
  std::uint64_t type = 0;
  found.info.is_host = ask(sandbox::kClDeviceType, &type, sizeof type) && (type & sandbox::kClDeviceCpu) != 0;
  return found;
}

}  // namespace

struct OpenCl::State {
  explicit State(FoundDevice found)
      : f(found.functions), device(found.device), info(std::move(found.info)) {}

  const ClFunctions f;
  const ClHandle device;
  const DeviceInfo info;
  Owned context{nullptr, nullptr};
  Owned queue{nullptr, nullptr};
  Owned program{nullptr, nullptr};
  std::map<std::string, Owned, std::less<>> kernels;

  Result<> build() {
    ClStatus status = 0;
    context = Owned(f.clCreateContext(nullptr, 1, &device, nullptr, nullptr, &status), f.clReleaseContext);
    HEARTH_TRY_VOID(check(status, "making a context"));
    queue = Owned(f.clCreateCommandQueue(context.get(), device, 0, &status), f.clReleaseCommandQueue);
    HEARTH_TRY_VOID(check(status, "making a queue"));
    const std::string source = device_source(Dialect::kOpenCl);
    const char* text = source.c_str();
    program = Owned(f.clCreateProgramWithSource(context.get(), 1, &text, nullptr, &status), f.clReleaseProgram);
    HEARTH_TRY_VOID(check(status, "reading the kernels"));
    if (f.clBuildProgram(program.get(), 1, &device, "-cl-std=CL1.2", nullptr, nullptr) == 0) return {};
    std::string log(kLogBytesMax, '\0');
    f.clGetProgramBuildInfo(program.get(), device, sandbox::kClBuildLog, log.size(), log.data(), nullptr);
    return fail(Code::kInternal, fmt::format("OpenCL on {} can't compile the kernels: {}", info.name, log.c_str()));
  }

  Result<ClHandle> kernel(std::string_view kernel_name) {
    const auto found = kernels.find(kernel_name);
    if (found != kernels.end()) return found->second.get();
    ClStatus status = 0;
    const std::string key(kernel_name);
    Owned made(f.clCreateKernel(program.get(), key.c_str(), &status), f.clReleaseKernel);
    HEARTH_TRY_VOID(check(status, "finding kernel " + key));
    return kernels.emplace(key, std::move(made)).first->second.get();
  }

  // The processor's kernels work on the tensors where they lie; others get a copy.
  Result<Owned> buffer(const DeviceBuffer& wanted) const {
    std::byte* const tensor = wanted.out != nullptr ? wanted.out : const_cast<std::byte*>(wanted.in);
    const bool is_in_place = info.is_host && tensor != nullptr && wanted.bytes > 0;
    const bool is_filled = wanted.in != nullptr && wanted.bytes > 0;
    const std::uint64_t from = is_in_place ? sandbox::kClUseHostMemory
                               : is_filled ? sandbox::kClCopyHostMemory
                                           : 0;
    // One that begins as another tensor is that tensor's copy wherever it lies.
    if (is_in_place && is_filled && wanted.in != tensor) std::memcpy(tensor, wanted.in, wanted.bytes);
    ClStatus status = 0;
    Owned made(f.clCreateBuffer(context.get(), sandbox::kClReadWrite | from, std::max<std::size_t>(wanted.bytes, 1),
                                from == 0 ? nullptr : is_in_place ? tensor : const_cast<std::byte*>(wanted.in), &status),
               f.clReleaseMemObject);
    HEARTH_TRY_VOID(check(status, fmt::format("taking {} bytes", wanted.bytes)));
    return made;
  }

  // Of a tensor in place, too: only then does the standard say that it holds the result.  Nothing
  // is copied where a driver has worked there.
  Result<> read_back(const DeviceBuffer& wanted, ClHandle buffer) const {
    if (wanted.out == nullptr || wanted.bytes == 0) return {};
    return check(f.clEnqueueReadBuffer(queue.get(), buffer, 1, 0, wanted.bytes, wanted.out, 0, nullptr, nullptr),
                 "reading a result");
  }

  Result<> wait() const { return check(f.clFinish(queue.get()), "the run"); }

  Result<> set_argument(ClHandle kernel, std::uint32_t index, const LaunchArgument& argument,
                        const std::vector<Owned>& buffers) const {
    const auto set = [&](const auto& value) {
      return check(f.clSetKernelArg(kernel, index, sizeof(value), &value), "setting an argument");
    };
    if (const auto* const at = std::get_if<BufferIndex>(&argument)) return set(ClHandle{buffers[at->value].get()});
    if (const auto* const integer = std::get_if<std::int64_t>(&argument)) return set(*integer);
    if (const auto* const single = std::get_if<float>(&argument)) return set(*single);
    return set(std::get<double>(argument));
  }

  Result<> launch(const Launch& launch, const std::vector<Owned>& buffers) {
    HEARTH_TRY(ClHandle const to_run, kernel(launch.kernel));
    for (std::uint32_t i = 0; i < launch.arguments.size(); ++i) {
      HEARTH_TRY_VOID(set_argument(to_run, i, launch.arguments[i], buffers));
    }
    const std::size_t group[2] = {launch.group_size[0], launch.group_size[1]};
    const std::size_t items[2] = {group[0] * launch.groups[0], group[1] * launch.groups[1]};
    return check(f.clEnqueueNDRangeKernel(queue.get(), to_run, 2, nullptr, items, group, 0, nullptr, nullptr),
                 fmt::format("launching {}", launch.kernel));
  }
};

OpenCl::OpenCl(std::unique_ptr<State> state) : state_(std::move(state)) {}
OpenCl::~OpenCl() = default;

Result<DeviceInfo> OpenCl::look() {
  HEARTH_TRY(FoundDevice found, find_device());
  return std::move(found.info);
}

Result<std::unique_ptr<OpenCl>> OpenCl::open() {
  HEARTH_TRY(FoundDevice found, find_device());
  auto state = std::make_unique<State>(std::move(found));
  HEARTH_TRY_VOID(state->build());
  return std::unique_ptr<OpenCl>(new OpenCl(std::move(state)));
}

const DeviceInfo& OpenCl::info() const { return state_->info; }

Result<std::uint32_t> OpenCl::run(const DevicePlan& plan, const StillWanted& still_wanted) {
  std::vector<Owned> buffers;
  for (const DeviceBuffer& wanted : plan.buffers) {
    HEARTH_TRY(Owned made, state_->buffer(wanted));
    buffers.push_back(std::move(made));
  }
  HEARTH_TRY_VOID(launch_all(
      plan, still_wanted, [&](const Launch& next) { return state_->launch(next, buffers); },
      [&] { return state_->wait(); }));
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    HEARTH_TRY_VOID(state_->read_back(plan.buffers[i], buffers[i].get()));
  }
  HEARTH_TRY_VOID(state_->wait());
  return info().is_host ? 0 : count_copies(plan);
}

}  // namespace hearth::compute

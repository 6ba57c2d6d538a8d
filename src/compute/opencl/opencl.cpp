#include "compute/opencl/opencl.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "compute/builtin/library/shared_library.h"
#include "sandbox/device/opencl_api.h"

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
  // -4, -5 and -6: no memory for an object, no resources, no memory of the host's.
  const Code code = status <= -4 && status >= -6 ? Code::kOutOfBudget : Code::kInternal;
  return fail(code, fmt::format("OpenCL: {} failed with error {}", what, status));
}

using Owned = std::unique_ptr<void, ClRelease*>;

}  // namespace

struct OpenCl::State {
  explicit State(const ClFunctions& functions) : f(functions) {}

  const ClFunctions f;
  ClHandle device = nullptr;
  std::string name;
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
    return fail(Code::kInternal, fmt::format("OpenCL on {} can't compile the kernels: {}", name, log.c_str()));
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

  Result<Owned> buffer(const DeviceBuffer& wanted) const {
    ClStatus status = 0;
    const bool is_filled = wanted.in != nullptr && wanted.bytes > 0;
    Owned made(f.clCreateBuffer(context.get(), sandbox::kClReadWrite | (is_filled ? sandbox::kClCopyHostMemory : 0),
                                std::max<std::size_t>(wanted.bytes, 1),
                                is_filled ? const_cast<std::byte*>(wanted.in) : nullptr, &status),
               f.clReleaseMemObject);
    HEARTH_TRY_VOID(check(status, fmt::format("taking {} bytes", wanted.bytes)));
    return made;
  }

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

Result<std::unique_ptr<OpenCl>> OpenCl::open() {
  HEARTH_TRY(const ClFunctions functions, load());
  auto state = std::make_unique<State>(functions);
  state->device = sandbox::best_opencl_device(functions);
  if (state->device == nullptr) {
    return fail(Code::kUnavailable,
                "OpenCL has no device that computes with doubles: install a driver, for the CPU "
                "pocl-opencl-icd");
  }
  std::string name(256, '\0');
  if (functions.clGetDeviceInfo(state->device, sandbox::kClDeviceName, name.size(), name.data(), nullptr) == 0) {
    state->name = name.c_str();
  }
  HEARTH_TRY_VOID(state->build());
  return std::unique_ptr<OpenCl>(new OpenCl(std::move(state)));
}

const std::string& OpenCl::device_name() const { return state_->name; }

Result<> OpenCl::run(const DevicePlan& plan) {
  std::vector<Owned> buffers;
  for (const DeviceBuffer& wanted : plan.buffers) {
    HEARTH_TRY(Owned made, state_->buffer(wanted));
    buffers.push_back(std::move(made));
  }
  for (const Launch& launch : plan.launches) HEARTH_TRY_VOID(state_->launch(launch, buffers));
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const DeviceBuffer& wanted = plan.buffers[i];
    if (wanted.out == nullptr || wanted.bytes == 0) continue;
    HEARTH_TRY_VOID(check(state_->f.clEnqueueReadBuffer(state_->queue.get(), buffers[i].get(), 1, 0, wanted.bytes,
                                                        wanted.out, 0, nullptr, nullptr),
                          "reading a result"));
  }
  return check(state_->f.clFinish(state_->queue.get()), "the run");
}

}  // namespace hearth::compute

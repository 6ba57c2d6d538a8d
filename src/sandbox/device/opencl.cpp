// OpenCL devices: GPUs, or the processor by way of PoCL.
//
// PoCL compiles a kernel anew for each size of its groups at the first launch, with LLVM and a
// linker of its own as a child.  Told not to (POCL_WORK_GROUP_SPECIALIZATION=0), it runs what the
// binary brings along and starts nothing: so the worker needs no exec and no fork, and what
// compiles is the compiler's jail alone.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sandbox/device/backend.h"
#include "sandbox/device/opencl_api.h"
#include "sandbox/worker/arguments.h"

namespace hearth::sandbox {
namespace {

constexpr std::size_t kLogBytesMax = std::size_t{64} << 10;

ClFunctions cl;
ClHandle device, context, queue, program, kernel;
DeviceImageHeader loaded;
bool is_host;

bool failed(Trouble& trouble, const char* what, ClStatus status) {
  return refuse(trouble, "OpenCL: ", what, " failed with error ", status);
}

bool open_opencl(const char* library, Trouble& trouble) {
  if (!open_library(library, "OpenCL's loader",
                    "install ocl-icd-libopencl1 and a driver (pocl-opencl-icd for the CPU)", cl,
                    trouble)) {
    return false;
  }
  device = best_opencl_device(cl);
  if (device == nullptr) {
    return refuse(trouble,
                  "OpenCL has no device that computes with doubles: install a driver, for the CPU "
                  "pocl-opencl-icd");
  }
  std::uint64_t type = 0;
  cl.clGetDeviceInfo(device, kClDeviceType, sizeof type, &type, nullptr);
  is_host = (type & kClDeviceCpu) != 0;
  ClStatus status = 0;
  context = cl.clCreateContext(nullptr, 1, &device, nullptr, nullptr, &status);
  if (status != 0) return failed(trouble, "making a context", status);
  queue = cl.clCreateCommandQueue(context, device, 0, &status);
  return status == 0 || failed(trouble, "making a queue", status);
}

void identify(DeviceIdentity& identity) {
  identity = {};
  const auto ask = [](std::uint32_t what, char* into, std::size_t bytes) {
    if (cl.clGetDeviceInfo(device, what, bytes - 1, into, nullptr) != 0)
      std::snprintf(into, bytes, "unknown");
  };
  char version[kDeviceNameBytes] = {}, platform_name[kDeviceNameBytes] = {};
  ClHandle platform = nullptr;
  ask(kClDeviceName, identity.device, sizeof identity.device);
  ask(kClDeviceVersion, identity.target, sizeof identity.target);
  ask(kClDriverVersion, version, sizeof version);
  cl.clGetDeviceInfo(device, kClDevicePlatform, sizeof(ClHandle), &platform, nullptr);
  cl.clGetPlatformInfo(platform, kClPlatformName, sizeof platform_name - 1, platform_name, nullptr);
  std::snprintf(identity.driver, sizeof identity.driver, "%.80s %.40s", platform_name, version);
  identity.is_host = is_host ? 1 : 0;
}

bool load(const DeviceImageHeader& header, const unsigned char* binary, std::size_t bytes,
          Trouble& trouble) {
  ClStatus status = 0, of_binary = 0;
  program =
      cl.clCreateProgramWithBinary(context, 1, &device, &bytes, &binary, &of_binary, &status);
  if (status != 0) return failed(trouble, "reading the kernel's binary", status);
  status = cl.clBuildProgram(program, 1, &device, "", nullptr, nullptr);
  if (status != 0) return failed(trouble, "preparing the kernel's binary", status);
  kernel = cl.clCreateKernel(program, header.name, &status);
  if (status != 0) return failed(trouble, "finding the kernel in its binary", status);
  loaded = header;
  return true;
}

// The memory objects of a run, given back at its end.
struct RunMemory {
  ClHandle objects[kDeviceArgumentsMax] = {};
  ~RunMemory() {
    for (ClHandle const object : objects) {
      if (object != nullptr) cl.clReleaseMemObject(object);
    }
  }
};

// The processor's own kernels work on the mapping itself: its guards and its read-only pages hold
// for them as for any code.  Others get a copy, of outputs as well, so that what they leave alone
// comes back as it was.
ClStatus set_buffer(std::uint32_t index, const RunRequest& request, RunMemory& memory) {
  const DeviceArgument& argument = loaded.arguments[index];
  const BufferPlace place = place_of(request.buffers[argument.index]);
  const bool is_written = argument.kind == DeviceArgumentKind::kWritten;
  const std::uint64_t flags = (is_written ? kClReadWrite : kClReadOnly) |
                              (is_host ? kClUseHostMemory : kClCopyHostMemory);
  ClStatus status = 0;
  memory.objects[index] = cl.clCreateBuffer(
      context, place.bytes > 0 ? flags : kClReadWrite, place.bytes > 0 ? place.bytes : 1,
      place.bytes > 0 ? place.data : nullptr, &status);
  if (status != 0) return status;
  return cl.clSetKernelArg(kernel, index, sizeof(ClHandle), &memory.objects[index]);
}

ClStatus copy_back(std::uint32_t index, const RunRequest& request, const RunMemory& memory) {
  const DeviceArgument& argument = loaded.arguments[index];
  if (is_host || argument.kind != DeviceArgumentKind::kWritten) return 0;
  const BufferPlace place = place_of(request.buffers[argument.index]);
  if (place.bytes == 0) return 0;
  return cl.clEnqueueReadBuffer(queue, memory.objects[index], 1, 0, place.bytes, place.data, 0,
                                nullptr, nullptr);
}

ClStatus set_argument(std::uint32_t index, const RunRequest& request, RunMemory& memory) {
  const DeviceArgument& argument = loaded.arguments[index];
  if (argument.kind == DeviceArgumentKind::kRead || argument.kind == DeviceArgumentKind::kWritten)
    return set_buffer(index, request, memory);
  const NumberArgument number = number_argument(argument, request);
  return cl.clSetKernelArg(kernel, index, number.bytes, number.value);
}

ClStatus run_all(const RunRequest& request) {
  RunMemory memory;
  ClStatus status = 0;
  for (std::uint32_t i = 0; i < loaded.n_arguments && status == 0; ++i)
    status = set_argument(i, request, memory);
  std::size_t items[kRunDimensionsMax] = {}, group[kRunDimensionsMax] = {};
  for (std::uint32_t d = 0; d < loaded.n_dimensions; ++d) {
    items[d] = request.items[d];
    group[d] = loaded.group[d];
  }
  if (status == 0) {
    status = cl.clEnqueueNDRangeKernel(queue, kernel, loaded.n_dimensions, nullptr, items, group, 0,
                                       nullptr, nullptr);
  }
  if (status == 0) status = cl.clFinish(queue);
  for (std::uint32_t i = 0; i < loaded.n_arguments && status == 0; ++i)
    status = copy_back(i, request, memory);
  return status;
}

RunStatus run(const RunRequest& request, RunAnswer& answer) {
  for (std::uint32_t d = 0; d < loaded.n_dimensions; ++d) {
    if (request.items[d] == 0) return RunStatus::kDone;
  }
  answer.signal = run_all(request);
  return answer.signal == 0 ? RunStatus::kDone : RunStatus::kFailed;
}

// Compiles, and leaves the program and the kernel in their places.
BuildEnd compile(const char* source, std::size_t bytes, const char* name) {
  ClStatus status = 0;
  program = cl.clCreateProgramWithSource(context, 1, &source, &bytes, &status);
  if (status == 0)
    status = cl.clBuildProgram(program, 1, &device, "-cl-std=CL1.2", nullptr, nullptr);
  if (status != 0) {
    auto* const log = static_cast<char*>(std::calloc(kLogBytesMax, 1));
    std::size_t n = 0;
    cl.clGetProgramBuildInfo(program, device, kClBuildLog, kLogBytesMax - 1, log, &n);
    say(log);
    return BuildEnd::kRefused;
  }
  kernel = cl.clCreateKernel(program, name, &status);
  return status == 0 ? BuildEnd::kBuilt : BuildEnd::kNoKernel;
}

bool write_program_binary(const char* path) {
  std::size_t bytes = 0;
  if (cl.clGetProgramInfo(program, kClProgramBinarySizes, sizeof bytes, &bytes, nullptr) != 0)
    return false;
  auto* binary = static_cast<unsigned char*>(std::malloc(bytes + 1));
  return cl.clGetProgramInfo(program, kClProgramBinaries, sizeof binary, &binary, nullptr) == 0 &&
         write_binary(path, binary, bytes);
}

}  // namespace

const DeviceBackend& opencl_backend() {
  static constexpr DeviceBackend kBackend{open_opencl, identify, load, run};
  return kBackend;
}

BuildEnd build_opencl(int argc, char** argv) {
  Trouble trouble;
  if (!open_opencl(text_of(argc, argv, "library="), trouble)) {
    say(trouble.text());
    return BuildEnd::kNoDevice;
  }
  std::size_t bytes = 0;
  const char* const source = read_source(bytes);
  if (source == nullptr) return BuildEnd::kRefused;
  const BuildEnd end = compile(source, bytes, text_of(argc, argv, "name="));
  if (end != BuildEnd::kBuilt) return end;
  return write_program_binary(text_of(argc, argv, "out=")) ? end : BuildEnd::kRefused;
}

}  // namespace hearth::sandbox

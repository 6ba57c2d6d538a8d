// NVIDIA's GPUs, by their driver; kernels are compiled by NVRTC, on machines without a GPU, too.
//
// A kernel that faults poisons its process's context: here that is the worker's, which ends.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sandbox/device/backend.h"
#include "sandbox/device/cuda_api.h"
#include "sandbox/worker/arguments.h"

namespace hearth::sandbox {
namespace {

CudaDriver cu;
int device;
CudaHandle context, module, function;
DeviceImageHeader loaded;

bool failed(Trouble& trouble, const char* what, int error) {
  const char* name = nullptr;
  if (cu.error_name(error, &name) != 0 || name == nullptr) name = "an unknown error";
  return refuse(trouble, "CUDA: ", what, " failed: ", Foreign{name});
}

bool open_cuda(const char* library, Trouble& trouble) {
  if (!open_library(library, "NVIDIA's driver", "install one for CUDA 11 or later", cu, trouble))
    return false;
  int n_devices = 0;
  if (cu.init(0) != 0 || cu.device_count(&n_devices) != 0 || n_devices == 0)
    return refuse(trouble, "NVIDIA's driver is installed, but no GPU of theirs is there");
  int error = cu.device_get(&device, 0);
  if (error == 0) error = cu.context_retain(&context, device);
  if (error == 0) error = cu.context_set_current(context);
  return error == 0 || failed(trouble, "taking a context", error);
}

void identify(DeviceIdentity& identity) {
  identity = {};
  int version = 0, major = 0, minor = 0;
  cu.device_name(identity.device, sizeof identity.device - 1, device);
  cu.driver_version(&version);
  cu.device_attribute(&major, kCudaComputeMajor, device);
  cu.device_attribute(&minor, kCudaComputeMinor, device);
  std::snprintf(identity.driver, sizeof identity.driver, "CUDA %d.%d", version / 1000,
                version % 1000 / 10);
  std::snprintf(identity.target, sizeof identity.target, "sm_%d%d", major, minor);
}

bool load(const DeviceImageHeader& header, const unsigned char* binary, std::size_t,
          Trouble& trouble) {
  int error = cu.module_load(&module, binary);
  if (error == 0) error = cu.module_function(&function, module, header.name);
  if (error != 0) return failed(trouble, "loading the kernel", error);
  loaded = header;
  return true;
}

// The buffers of a run, freed at its end.
struct RunMemory {
  CudaAddress addresses[kDeviceArgumentsMax] = {};
  ~RunMemory() {
    for (const CudaAddress address : addresses) {
      if (address != 0) cu.memory_free(address);
    }
  }
};

bool is_buffer(const DeviceArgument& argument) {
  return argument.kind == DeviceArgumentKind::kRead || argument.kind == DeviceArgumentKind::kWritten;
}

// Outputs are copied there as well: what the kernel leaves alone comes back as it was.
int fill(std::uint32_t index, const RunRequest& request, RunMemory& memory) {
  const BufferPlace place = place_of(request.buffers[loaded.arguments[index].index]);
  const int error = cu.memory_take(&memory.addresses[index], place.bytes > 0 ? place.bytes : 1);
  if (error != 0 || place.bytes == 0) return error;
  return cu.copy_to_device(memory.addresses[index], place.data, place.bytes);
}

int copy_back(std::uint32_t index, const RunRequest& request, const RunMemory& memory) {
  const DeviceArgument& argument = loaded.arguments[index];
  if (argument.kind != DeviceArgumentKind::kWritten) return 0;
  const BufferPlace place = place_of(request.buffers[argument.index]);
  return place.bytes == 0 ? 0 : cu.copy_to_host(place.data, memory.addresses[index], place.bytes);
}

int launch(const RunRequest& request, RunMemory& memory) {
  NumberArgument numbers[kDeviceArgumentsMax];
  void* pointers[kDeviceArgumentsMax];
  for (std::uint32_t i = 0; i < loaded.n_arguments; ++i) {
    if (is_buffer(loaded.arguments[i])) {
      pointers[i] = &memory.addresses[i];
    } else {
      numbers[i] = number_argument(loaded.arguments[i], request);
      pointers[i] = numbers[i].value;
    }
  }
  unsigned group[3] = {1, 1, 1}, grid[3] = {1, 1, 1};
  for (std::uint32_t d = 0; d < loaded.n_dimensions; ++d) {
    group[d] = loaded.group[d];
    grid[d] = static_cast<unsigned>(request.items[d] / group[d]);
  }
  return cu.launch(function, grid[0], grid[1], grid[2], group[0], group[1], group[2], 0, nullptr,
                   pointers, nullptr);
}

RunStatus run(const RunRequest& request, RunAnswer& answer) {
  for (std::uint32_t d = 0; d < loaded.n_dimensions; ++d) {
    if (request.items[d] == 0) return RunStatus::kDone;
  }
  RunMemory memory;
  int error = cu.context_set_current(context);  // This is another thread than the one that opened.
  for (std::uint32_t i = 0; i < loaded.n_arguments && error == 0; ++i) {
    if (is_buffer(loaded.arguments[i])) error = fill(i, request, memory);
  }
  if (error == 0) error = launch(request, memory);
  if (error == 0) error = cu.context_synchronize();
  for (std::uint32_t i = 0; i < loaded.n_arguments && error == 0; ++i)
    error = copy_back(i, request, memory);
  answer.signal = error;
  return error == 0 ? RunStatus::kDone : RunStatus::kFailed;
}

// A cubin of the source, or null once messages are printed.
char* compile(const NvrtcFunctions& nvrtc, const char* source, const char* arch,
              std::size_t& bytes) {
  void* program = nullptr;
  char option[64];
  std::snprintf(option, sizeof option, "--gpu-architecture=%.40s", arch);
  const char* const options[] = {option, "--fmad=false", "--std=c++17"};
  if (nvrtc.nvrtcCreateProgram(&program, source, "unit", 0, nullptr, nullptr) != 0) return nullptr;
  if (nvrtc.nvrtcCompileProgram(program, 3, options) == 0 &&
      nvrtc.nvrtcGetCUBINSize(program, &bytes) == 0) {
    auto* const cubin = static_cast<char*>(std::malloc(bytes + 1));
    return nvrtc.nvrtcGetCUBIN(program, cubin) == 0 ? cubin : nullptr;
  }
  std::size_t n_log = 0;
  nvrtc.nvrtcGetProgramLogSize(program, &n_log);
  auto* const log = static_cast<char*>(std::calloc(n_log + 1, 1));
  nvrtc.nvrtcGetProgramLog(program, log);
  say(log);
  return nullptr;
}

// The first that opens.
bool open_nvrtc(int argc, char** argv, NvrtcFunctions& nvrtc, Trouble& trouble) {
  refuse(trouble, "NVRTC is not named");
  for (int i = 2; i < argc; ++i) {
    const char* const library = value_of(argv[i], "library=");
    if (library != nullptr && open_library(library, "NVRTC",
                                           "install version 11.2 or later, and name its file in "
                                           "HEARTH_NVRTC",
                                           nvrtc, trouble)) {
      return true;
    }
  }
  return false;
}

}  // namespace

const DeviceBackend& cuda_backend() {
  static constexpr DeviceBackend kBackend{open_cuda, identify, load, run};
  return kBackend;
}

BuildEnd build_cuda(int argc, char** argv) {
  Trouble trouble;
  NvrtcFunctions nvrtc{};
  if (!open_nvrtc(argc, argv, nvrtc, trouble)) {
    say(trouble.text());
    return BuildEnd::kNoDevice;
  }
  std::size_t bytes = 0, n_cubin = 0;
  const char* const source = read_source(bytes);
  const char* const arch = text_of(argc, argv, "target=");
  const char* const cubin = source == nullptr ? nullptr : compile(nvrtc, source, arch, n_cubin);
  if (cubin == nullptr) return BuildEnd::kRefused;
  int major = 0, minor = 0;
  char version[32] = {};
  if (nvrtc.nvrtcVersion(&major, &minor) == 0)
    std::snprintf(version, sizeof version, "NVRTC %d.%d", major, minor);
  say("hearth: compiler ", version);
  const bool is_written = write_binary(text_of(argc, argv, "out="), cubin, n_cubin);
  return is_written ? BuildEnd::kBuilt : BuildEnd::kRefused;
}

}  // namespace hearth::sandbox

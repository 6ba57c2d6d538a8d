// NVIDIA's driver as a test has it: device memory is the host's, and the only kernel multiplies two
// arrays, out[i] = in[i] * w[i], where it is launched for exactly as many groups as n needs.  An
// image "cubin that writes" has threads of the driver make files in its folder for ever.  Some
// sizes fail, hang or crash, and HEARTH_FAKE_CUDA_OPENS_MS is how long it takes to start.  It is
// its own NVRTC, too, which compiles anything.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "sandbox/device/cuda_api.h"

using hearth::sandbox::CudaAddress;
using hearth::sandbox::CudaHandle;

namespace {
constexpr int kInvalid = 1, kLaunchFailed = 700;
constexpr std::int64_t kFailingSize = 7, kHangingSize = 11, kCrashingSize = 13;
constexpr std::size_t kMemoryBytes = std::size_t{1} << 20;
int here;
int n_taken = 0;
bool is_launched_wrong = false;

void* write_on(void* name) {
  for (;;) {
    char path[256];
    std::snprintf(path, sizeof path, "%s/%s", std::getenv("TMPDIR"), static_cast<char*>(name));
    ::close(::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  }
}
}  // namespace

extern "C" {
int cuInit(unsigned) {
  const char* const opens_ms = std::getenv("HEARTH_FAKE_CUDA_OPENS_MS");
  if (opens_ms != nullptr) ::usleep(static_cast<useconds_t>(std::atoi(opens_ms)) * 1000);
  return 0;
}
int cuDriverGetVersion(int* version) { return *version = 12040, 0; }
int cuDeviceGetCount(int* count) { return *count = 1, 0; }
int cuDeviceGet(int* device, int) { return *device = 0, 0; }
int cuDeviceGetName(char* name, int, int) { return std::strcpy(name, "Fake GPU"), 0; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
  return *value = attribute == hearth::sandbox::kCudaComputeMajor ? 9 : 0, 0;
}
int cuDevicePrimaryCtxRetain(CudaHandle* context, int) { return *context = &here, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(CudaHandle context) { return context == &here ? 0 : kInvalid; }
int cuCtxSynchronize() { return is_launched_wrong ? kLaunchFailed : 0; }
int cuModuleLoadData(CudaHandle* module, const void* image) {
  static char names[][2] = {"a", "b", "c", "d"};
  const bool writes = std::strncmp(static_cast<const char*>(image), "cubin that writes", 17) == 0;
  for (std::size_t i = 0; writes && i < std::size(names); ++i) {
    pthread_t thread;
    ::pthread_create(&thread, nullptr, write_on, names[i]);
  }
  return *module = &here,
         std::strncmp(static_cast<const char*>(image), "cubin", 5) == 0 ? 0 : kInvalid;
}
int cuModuleUnload(CudaHandle) { return 0; }
int cuModuleGetFunction(CudaHandle* function, CudaHandle, const char* name) {
  const bool is_known = std::strcmp(name, "k") == 0 || std::strcmp(name, "mul_f32") == 0;
  return *function = &here, is_known ? 0 : kInvalid;
}
int cuMemAlloc_v2(CudaAddress* address, std::size_t bytes) {
  if (bytes > kMemoryBytes) return hearth::sandbox::kCudaOutOfMemory;
  ++n_taken;
  return *address = reinterpret_cast<CudaAddress>(std::malloc(bytes)), 0;
}
int cuMemFree_v2(CudaAddress address) {
  --n_taken;
  return std::free(reinterpret_cast<void*>(address)), 0;
}
int cuMemcpyHtoD_v2(CudaAddress to, const void* from, std::size_t bytes) {
  return std::memcpy(reinterpret_cast<void*>(to), from, bytes), 0;
}
int cuMemcpyDtoH_v2(void* to, CudaAddress from, std::size_t bytes) {
  return std::memcpy(to, reinterpret_cast<const void*>(from), bytes), 0;
}
int cuLaunchKernel(CudaHandle, unsigned grid, unsigned, unsigned, unsigned block, unsigned,
                   unsigned, unsigned, CudaHandle, void** arguments, void**) {
  float* const out = *static_cast<float**>(arguments[0]);
  const float* const in = *static_cast<float**>(arguments[1]);
  const float* const w = *static_cast<float**>(arguments[2]);
  const auto n = *static_cast<std::int64_t*>(arguments[3]);
  is_launched_wrong = n == kFailingSize || grid != (n + block - 1) / block || n_taken != 3;
  while (n == kHangingSize) ::pause();
  if (n == kCrashingSize) ::raise(SIGSEGV);
  for (std::int64_t i = 0; i < n; ++i) out[i] = in[i] * w[i];
  return 0;
}
int cuGetErrorName(int, const char** name) { return *name = "CUDA_ERROR_OF_THE_TEST", 0; }

int nvrtcVersion(int* major, int* minor) { return *major = 12, *minor = 8, 0; }
int nvrtcGetNumSupportedArchs(int* n) { return *n = 1, 0; }
int nvrtcGetSupportedArchs(int* archs) { return archs[0] = 90, 0; }
int nvrtcCreateProgram(void** program, const char*, const char*, int, const char* const*,
                       const char* const*) {
  return *program = &here, 0;
}
int nvrtcCompileProgram(void*, int, const char* const*) { return 0; }
int nvrtcGetProgramLogSize(void*, std::size_t* n) { return *n = 0, 0; }
int nvrtcGetProgramLog(void*, char*) { return 0; }
int nvrtcGetCUBINSize(void*, std::size_t* n) { return *n = 6, 0; }
int nvrtcGetCUBIN(void*, char* cubin) { return std::memcpy(cubin, "cubin", 6), 0; }
int nvrtcDestroyProgram(void**) { return 0; }
}

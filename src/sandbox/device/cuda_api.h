// What Hearth calls of NVIDIA's driver and of NVRTC, as cuda.h and nvrtc.h have it: handles are
// pointers, device addresses 64-bit numbers, 0 is success.  Nothing of CUDA is needed to build.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::sandbox {

using CudaHandle = void*;
using CudaAddress = std::uint64_t;

inline constexpr int kCudaOutOfMemory = 2;
inline constexpr int kCudaComputeMajor = 75;  // Attributes of a device.
inline constexpr int kCudaComputeMinor = 76;

struct CudaDriver {
  int (*init)(unsigned flags);
  int (*driver_version)(int* version);  // 12040 is 12.4.
  int (*device_count)(int* count);
  int (*device_get)(int* device, int ordinal);
  int (*device_name)(char* name, int size, int device);
  int (*device_attribute)(int* value, int attribute, int device);
  int (*context_retain)(CudaHandle* context, int device);
  int (*context_release)(int device);
  int (*context_set_current)(CudaHandle context);
  int (*context_synchronize)();
  int (*module_load)(CudaHandle* module, const void* image);
  int (*module_unload)(CudaHandle module);
  int (*module_function)(CudaHandle* function, CudaHandle module, const char* name);
  int (*memory_take)(CudaAddress* address, std::size_t bytes);
  int (*memory_free)(CudaAddress address);
  int (*copy_to_device)(CudaAddress to, const void* from, std::size_t bytes);
  int (*copy_to_host)(void* to, CudaAddress from, std::size_t bytes);
  int (*launch)(CudaHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                CudaHandle stream, void** arguments, void** extra);
  int (*error_name)(int error, const char** name);
};

// Calls bind(name, member) for each function, until one returns false.
template <class Bind>
bool bind_functions(CudaDriver& f, Bind&& bind) {
  return bind("cuInit", f.init) && bind("cuDriverGetVersion", f.driver_version) &&
         bind("cuDeviceGetCount", f.device_count) && bind("cuDeviceGet", f.device_get) &&
         bind("cuDeviceGetName", f.device_name) &&
         bind("cuDeviceGetAttribute", f.device_attribute) &&
         bind("cuDevicePrimaryCtxRetain", f.context_retain) &&
         bind("cuDevicePrimaryCtxRelease_v2", f.context_release) &&
         bind("cuCtxSetCurrent", f.context_set_current) &&
         bind("cuCtxSynchronize", f.context_synchronize) &&
         bind("cuModuleLoadData", f.module_load) && bind("cuModuleUnload", f.module_unload) &&
         bind("cuModuleGetFunction", f.module_function) && bind("cuMemAlloc_v2", f.memory_take) &&
         bind("cuMemFree_v2", f.memory_free) && bind("cuMemcpyHtoD_v2", f.copy_to_device) &&
         bind("cuMemcpyDtoH_v2", f.copy_to_host) && bind("cuLaunchKernel", f.launch) &&
         bind("cuGetErrorName", f.error_name);
}

struct NvrtcFunctions {
  int (*nvrtcVersion)(int*, int*);
  int (*nvrtcGetNumSupportedArchs)(int*);
  int (*nvrtcGetSupportedArchs)(int*);
  int (*nvrtcCreateProgram)(void**, const char* source, const char* name, int n_headers,
                            const char* const*, const char* const*);
  int (*nvrtcCompileProgram)(void*, int n_options, const char* const*);
  int (*nvrtcGetProgramLogSize)(void*, std::size_t*);
  int (*nvrtcGetProgramLog)(void*, char*);
  int (*nvrtcGetCUBINSize)(void*, std::size_t*);
  int (*nvrtcGetCUBIN)(void*, char*);
  int (*nvrtcDestroyProgram)(void**);
};

template <class Bind>
bool bind_functions(NvrtcFunctions& f, Bind&& bind) {
#define HEARTH_BIND(name) bind(#name, f.name)
  return HEARTH_BIND(nvrtcVersion) && HEARTH_BIND(nvrtcGetNumSupportedArchs) &&
         HEARTH_BIND(nvrtcGetSupportedArchs) && HEARTH_BIND(nvrtcCreateProgram) &&
         HEARTH_BIND(nvrtcCompileProgram) && HEARTH_BIND(nvrtcGetProgramLogSize) &&
         HEARTH_BIND(nvrtcGetProgramLog) && HEARTH_BIND(nvrtcGetCUBINSize) &&
         HEARTH_BIND(nvrtcGetCUBIN) && HEARTH_BIND(nvrtcDestroyProgram);
#undef HEARTH_BIND
}

}  // namespace hearth::sandbox

// What Hearth calls of OpenCL, as CL/cl.h has it: handles are pointers, flags 64-bit words, errors
// negative numbers.  Nothing of OpenCL is needed to build.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::sandbox {

using ClHandle = void*;
using ClStatus = std::int32_t;
using ClRelease = ClStatus(ClHandle);

inline constexpr std::uint64_t kClDeviceCpu = 2;
inline constexpr std::uint64_t kClDeviceGpu = 4;
inline constexpr std::uint64_t kClDeviceAny = 0xFFFFFFFF;
inline constexpr std::uint32_t kClDeviceType = 0x1000;
inline constexpr std::uint32_t kClDeviceName = 0x102B;
inline constexpr std::uint32_t kClDriverVersion = 0x102D;
inline constexpr std::uint32_t kClDeviceVersion = 0x102F;
inline constexpr std::uint32_t kClDevicePlatform = 0x1031;
inline constexpr std::uint32_t kClDeviceDoubles = 0x1032;
inline constexpr std::uint32_t kClPlatformName = 0x0902;
inline constexpr std::uint32_t kClProgramBinarySizes = 0x1165;
inline constexpr std::uint32_t kClProgramBinaries = 0x1166;
inline constexpr std::uint32_t kClBuildLog = 0x1183;
inline constexpr std::uint64_t kClReadWrite = 1;
inline constexpr std::uint64_t kClReadOnly = 4;
inline constexpr std::uint64_t kClUseHostMemory = 8;
inline constexpr std::uint64_t kClCopyHostMemory = 32;
inline constexpr std::size_t kClHandlesMax = 16;  // Platforms, and devices of each, that are looked at.

struct ClFunctions {
  ClStatus (*clGetPlatformIDs)(std::uint32_t, ClHandle*, std::uint32_t*);
  ClStatus (*clGetPlatformInfo)(ClHandle, std::uint32_t, std::size_t, void*, std::size_t*);
  ClStatus (*clGetDeviceIDs)(ClHandle, std::uint64_t, std::uint32_t, ClHandle*, std::uint32_t*);
  ClStatus (*clGetDeviceInfo)(ClHandle, std::uint32_t, std::size_t, void*, std::size_t*);
  ClHandle (*clCreateContext)(const std::intptr_t*, std::uint32_t, const ClHandle*, void*, void*,
                              ClStatus*);
  ClHandle (*clCreateCommandQueue)(ClHandle, ClHandle, std::uint64_t, ClStatus*);
  ClHandle (*clCreateProgramWithSource)(ClHandle, std::uint32_t, const char**, const std::size_t*,
                                        ClStatus*);
  ClHandle (*clCreateProgramWithBinary)(ClHandle, std::uint32_t, const ClHandle*,
                                        const std::size_t*, const unsigned char**, ClStatus*,
                                        ClStatus*);
  ClStatus (*clBuildProgram)(ClHandle, std::uint32_t, const ClHandle*, const char*, void*, void*);
  ClStatus (*clGetProgramInfo)(ClHandle, std::uint32_t, std::size_t, void*, std::size_t*);
  ClStatus (*clGetProgramBuildInfo)(ClHandle, ClHandle, std::uint32_t, std::size_t, void*,
                                    std::size_t*);
  ClHandle (*clCreateKernel)(ClHandle, const char*, ClStatus*);
  ClStatus (*clSetKernelArg)(ClHandle, std::uint32_t, std::size_t, const void*);
  ClHandle (*clCreateBuffer)(ClHandle, std::uint64_t, std::size_t, void*, ClStatus*);
  ClStatus (*clEnqueueNDRangeKernel)(ClHandle, ClHandle, std::uint32_t, const std::size_t*,
                                     const std::size_t*, const std::size_t*, std::uint32_t,
                                     const ClHandle*, ClHandle*);
  ClStatus (*clEnqueueReadBuffer)(ClHandle, ClHandle, std::uint32_t, std::size_t, std::size_t,
                                  void*, std::uint32_t, const ClHandle*, ClHandle*);
  ClStatus (*clFinish)(ClHandle);
  ClRelease* clReleaseContext;
  ClRelease* clReleaseCommandQueue;
  ClRelease* clReleaseProgram;
  ClRelease* clReleaseKernel;
  ClRelease* clReleaseMemObject;
};

// Calls bind(name, member) for each function, until one returns false.
template <class Bind>
bool bind_functions(ClFunctions& f, Bind&& bind) {
#define HEARTH_BIND(name) bind(#name, f.name)
  return HEARTH_BIND(clGetPlatformIDs) && HEARTH_BIND(clGetPlatformInfo) &&
         HEARTH_BIND(clGetDeviceIDs) && HEARTH_BIND(clGetDeviceInfo) &&
         HEARTH_BIND(clCreateContext) && HEARTH_BIND(clCreateCommandQueue) &&
         HEARTH_BIND(clCreateProgramWithSource) && HEARTH_BIND(clCreateProgramWithBinary) &&
         HEARTH_BIND(clBuildProgram) && HEARTH_BIND(clGetProgramInfo) &&
         HEARTH_BIND(clGetProgramBuildInfo) && HEARTH_BIND(clCreateKernel) &&
         HEARTH_BIND(clSetKernelArg) && HEARTH_BIND(clCreateBuffer) &&
         HEARTH_BIND(clEnqueueNDRangeKernel) && HEARTH_BIND(clEnqueueReadBuffer) &&
         HEARTH_BIND(clFinish) && HEARTH_BIND(clReleaseContext) &&
         HEARTH_BIND(clReleaseCommandQueue) && HEARTH_BIND(clReleaseProgram) &&
         HEARTH_BIND(clReleaseKernel) && HEARTH_BIND(clReleaseMemObject);
#undef HEARTH_BIND
}

// The device that kernels run on: one that computes with doubles, GPUs first; null: there is none.
inline ClHandle best_opencl_device(const ClFunctions& f) {
  ClHandle platforms[kClHandlesMax] = {};
  std::uint32_t n_platforms = 0;
  if (f.clGetPlatformIDs(kClHandlesMax, platforms, &n_platforms) != 0) return nullptr;
  for (const std::uint64_t type : {kClDeviceGpu, kClDeviceAny}) {
    for (std::size_t i = 0; i < n_platforms && i < kClHandlesMax; ++i) {
      ClHandle devices[kClHandlesMax] = {};
      std::uint32_t n_devices = 0;
      if (f.clGetDeviceIDs(platforms[i], type, kClHandlesMax, devices, &n_devices) != 0) continue;
      for (std::size_t d = 0; d < n_devices && d < kClHandlesMax; ++d) {
        std::uint64_t doubles = 0;
        if (f.clGetDeviceInfo(devices[d], kClDeviceDoubles, sizeof doubles, &doubles, nullptr) ==
                0 &&
            doubles != 0) {
          return devices[d];
        }
      }
    }
  }
  return nullptr;
}

}  // namespace hearth::sandbox

// The functions of NVIDIA's driver that Hearth calls, as a table: the real ones, or a test's.
//
// Handles are pointers, device addresses 64-bit numbers, 0 is success, as cuda.h has them; nothing of
// CUDA is needed to build.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace hearth::compute {

using CudaHandle = void*;
using CudaAddress = std::uint64_t;

inline constexpr int kCudaOutOfMemory = 2;
inline constexpr int kCudaComputeMajor = 75;  // Attributes of a device.
inline constexpr int kCudaComputeMinor = 76;

struct CudaDriver {
  int (*init)(unsigned flags);
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
  int (*launch)(CudaHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                unsigned block_y, unsigned block_z, unsigned shared_bytes, CudaHandle stream, void** arguments,
                void** extra);
  int (*error_name)(int error, const char** name);
};

// libcuda.so.1's, opened at the first call; kUnavailable without a driver or without a GPU.
Result<const CudaDriver*> cuda_driver();

}  // namespace hearth::compute

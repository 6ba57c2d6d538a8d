// The functions of NVIDIA's driver that Hearth calls, as a table: the real ones, or a test's.
#pragma once

#include "base/result.h"
#include "sandbox/device/cuda_api.h"

namespace hearth::compute {

using sandbox::CudaAddress;
using sandbox::CudaDriver;
using sandbox::CudaHandle;
using sandbox::kCudaComputeMajor;
using sandbox::kCudaComputeMinor;
using sandbox::kCudaOutOfMemory;

// libcuda.so.1's, or those of the file that HEARTH_CUDA names, opened at the first call; kUnavailable
// without a driver or without a GPU.
Result<const CudaDriver*> cuda_driver();

}  // namespace hearth::compute

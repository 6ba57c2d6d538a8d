// Where search.cpp finds the kernels of each instruction set.
#pragma once

#include "tensor/quantize/search.h"

namespace hearth::tensor::quant {

const Kernels& baseline_kernels_16();
const Kernels& baseline_kernels_32();
#if defined(__x86_64__)
const Kernels& avx2_kernels_16();
const Kernels& avx2_kernels_32();
#endif

}  // namespace hearth::tensor::quant

// Rows of stored weights as floats: the embedding lookup, and the oracle of the kernels' tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace hearth::tensor {

// out [n] = the n weights at `data`; n is a multiple of the type's block.  Any bytes are safe: a
// scale that is no number gives weights that are none.
void dequantize(DType type, const std::byte* data, std::size_t n, float* out);

}  // namespace hearth::tensor

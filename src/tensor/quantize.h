// Floats to stored weights: the opposite of dequantize.h.
//
// A block is a few small integers under shared scales, so quantising is a search: of the scales
// that could serve a group, the one whose rounded codes lie nearest to the weights, where an error
// counts by how much the weight's input matters (its importance, measured by whoever ran the model
// over text).  quantize/search.h says how.
#pragma once

#include <cstddef>

#include "tensor/dtype.h"

namespace hearth::tensor {

// Whether quantize() writes `type`: the float types, and Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K
// Q5_K Q6_K IQ4_NL.
bool can_quantize(DType type);

// Whether `importance` changes what quantize() makes of `type`.
bool uses_importance(DType type);

// out [row_bytes(type, n)] = the n weights at `values`, which must be finite; n is a multiple of
// the type's block.  `importance` [n] holds what an error of each weight costs, from 0 on; null
// where nothing is known.  What is too large for the type's half-precision scale becomes its
// largest. The same input gives the same bytes on every machine.
//
// Threading: any thread.  Cost: about 35 candidate scales per weight for the K types.
void quantize(DType type, const float* values, const float* importance, std::size_t n,
              std::byte* out);

}  // namespace hearth::tensor

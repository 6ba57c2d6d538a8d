// The attention kernel in plain C++: the twin of the vector variants, and the fallback.
#include "model/attention_kernel.h"
#include "tensor/kernels/simd_scalar.h"

namespace hearth::model {

void attend_page_scalar(const AttentionPage& page) {
  AttentionKernel<tensor::scalar::Simd, 1, 1>::attend_page(page);
}

}  // namespace hearth::model

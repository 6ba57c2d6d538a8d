// The attention kernel for AVX-512.
#include "model/attention_kernel.h"
#include "tensor/kernels/simd_avx512.h"

namespace hearth::model {

// Eight rows of scores, or four of 64 dimensions, are 16 of 32 registers.
void attend_page_avx512(const AttentionPage& page) {
  AttentionKernel<tensor::avx512::Simd, 8, 4>::attend_page(page);
}

}  // namespace hearth::model

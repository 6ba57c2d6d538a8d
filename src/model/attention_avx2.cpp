// The attention kernel for AVX2 with FMA and F16C.
#include "model/attention_kernel.h"
#include "tensor/kernels/simd_avx2.h"

namespace hearth::model {

// Two rows of scores are 8 of 16 registers, one row of 64 dimensions 8.
void attend_page_avx2(const AttentionPage& page) {
  AttentionKernel<tensor::avx2::Simd, 2, 1>::attend_page(page);
}

}  // namespace hearth::model

#include "tensor/quantize/search.h"

#include "tensor/isa.h"
#include "tensor/quantize/search_tables.h"

namespace hearth::tensor::quant {

template <>
const Kernels& kernels_for_group<16>() {
#if defined(__x86_64__)
  if (selected_isa() != Isa::kScalar) return avx2_kernels_16();
#endif
  return baseline_kernels_16();
}

template <>
const Kernels& kernels_for_group<32>() {
#if defined(__x86_64__)
  if (selected_isa() != Isa::kScalar) return avx2_kernels_32();
#endif
  return baseline_kernels_32();
}

}  // namespace hearth::tensor::quant

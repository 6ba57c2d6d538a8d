#include "tensor/quantize/search_kernels.h"
#include "tensor/quantize/search_tables.h"

namespace hearth::tensor::quant {

const Kernels& baseline_kernels_16() { return kTable<16>; }
const Kernels& baseline_kernels_32() { return kTable<32>; }

}  // namespace hearth::tensor::quant

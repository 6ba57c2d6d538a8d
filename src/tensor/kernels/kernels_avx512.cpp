#include "tensor/kernels/make_table.h"
#include "tensor/kernels/simd_avx512.h"
#include "tensor/kernels/tables.h"

namespace hearth::tensor::avx512 {

const Kernels* table() {
  static constexpr Kernels kTable = make_table<Simd>(Isa::kAvx512);
  return &kTable;
}

}  // namespace hearth::tensor::avx512

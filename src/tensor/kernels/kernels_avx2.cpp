#include "tensor/kernels/make_table.h"
#include "tensor/kernels/simd_avx2.h"
#include "tensor/kernels/tables.h"

namespace hearth::tensor::avx2 {

const Kernels* table() {
  static constexpr Kernels kTable = make_table<Simd>(Isa::kAvx2);
  return &kTable;
}

}  // namespace hearth::tensor::avx2

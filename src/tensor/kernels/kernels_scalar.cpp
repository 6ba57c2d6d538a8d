#include "tensor/kernels/make_table.h"
#include "tensor/kernels/simd_scalar.h"
#include "tensor/kernels/tables.h"

namespace hearth::tensor::scalar {

const Kernels* table() {
  static constexpr Kernels kTable = make_table<Simd>(Isa::kScalar);
  return &kTable;
}

}  // namespace hearth::tensor::scalar

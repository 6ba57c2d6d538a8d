#include "compute/builtin/isa/make_table.h"
#include "compute/builtin/isa/vector_scalar.h"

namespace hearth::compute::scalar {

const KernelTable& table() {
  static constexpr KernelTable kTable = make_table<F32, F64>(tensor::Isa::kScalar);
  return kTable;
}

}  // namespace hearth::compute::scalar

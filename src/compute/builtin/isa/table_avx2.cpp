#include "compute/builtin/isa/make_table.h"
#include "compute/builtin/isa/vector_avx2.h"

namespace hearth::compute::avx2 {

const KernelTable& table() {
  static constexpr KernelTable kTable = make_table<F32, F64>(tensor::Isa::kAvx2);
  return kTable;
}

}  // namespace hearth::compute::avx2

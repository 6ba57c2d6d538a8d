#include "compute/builtin/isa/make_table.h"
#include "compute/builtin/isa/vector_avx512.h"

namespace hearth::compute::avx512 {

const KernelTable& table() {
  static constexpr KernelTable kTable = make_table<F32, F64>(tensor::Isa::kAvx512);
  return kTable;
}

}  // namespace hearth::compute::avx512

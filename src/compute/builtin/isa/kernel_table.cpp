#include "compute/builtin/isa/kernel_table.h"

#include <algorithm>

namespace hearth::compute {

const KernelTable* kernel_table_for(tensor::Isa isa) {
  if (!std::ranges::count(tensor::available_isas(), isa)) return nullptr;
  switch (isa) {
#if defined(__x86_64__)
    case tensor::Isa::kAvx2: return &avx2::table();
    case tensor::Isa::kAvx512: return &avx512::table();
#endif
    default: return &scalar::table();
  }
}

const KernelTable& kernel_table() { return *kernel_table_for(tensor::selected_isa()); }

}  // namespace hearth::compute

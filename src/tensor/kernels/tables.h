// The tables that kernels_<isa>.cpp define, each compiled with its own -m flags.
#pragma once

#include "tensor/kernels/kernels.h"

namespace hearth::tensor {
namespace scalar {
const Kernels* table();
}
namespace avx2 {
const Kernels* table();
}
namespace avx512 {
const Kernels* table();
}
}  // namespace hearth::tensor

// Elementwise kernels over whole arrays: pieces for threads, and stores past the caches.
#pragma once

#include <cstdint>

#include "compute/builtin/workers.h"
#include "compute/builtin/isa/kernel_table.h"

namespace hearth::compute {

// Bytes of output from which on stores go past the caches.  Below, what was written is likely to be
// read again while a cache still has it.
inline constexpr std::int64_t kStreamBytes = std::int64_t{4} << 20;

// out[n] = op(in[n], other[n], factor).  `other` may be null where the operation has no second input,
// and floats alone have those from kExp on.  out overlaps neither input.
// Each element is one expression, the same on all instruction sets (D2).
void elementwise(Elementwise op, std::int64_t n, const float* in, const float* other, float factor,
                 float* out, const Workers& workers);
void elementwise(Elementwise op, std::int64_t n, const double* in, const double* other,
                 double factor, double* out, const Workers& workers);

}  // namespace hearth::compute

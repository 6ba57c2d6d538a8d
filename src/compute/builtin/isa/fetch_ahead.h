// Fetches what a loop over memory will read some iterations later.
#pragma once

#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::compute {

// The lines of kBytes that lie 4 KiB ahead: the processor's own prefetching stops at the ends of pages,
// and one core then reads 11 of the 18 GB/s that it could.  (tensor/kernels/probes.h has the distance.)
template <int kBytes>
HEARTH_INLINE void fetch_ahead(const void* p) {
  constexpr std::uintptr_t kAhead = 4096;
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  for (int i = 0; i < kBytes; i += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(address + kAhead + static_cast<unsigned>(i)));
  }
}

}  // namespace hearth::compute

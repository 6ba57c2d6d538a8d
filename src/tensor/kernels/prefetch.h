// Prefetches that stay where they are written.
//
// A burst of them fills the line buffers, and everything behind it waits; so they are written one
// by one between the products.  A compiler moves __builtin_prefetch about, until there are bursts
// again; a volatile instruction stays.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::tensor {

inline constexpr std::size_t kLineBytes = 64;

enum class Cache { kFirst, kSecond };

// Asks for the line at `address`, which need not be mapped.
template <Cache kLevel>
HEARTH_INLINE void prefetch_line(std::uintptr_t address) {
#if defined(__x86_64__)
  const auto* const line = reinterpret_cast<const char*>(address);
  if constexpr (kLevel == Cache::kFirst) {
    asm volatile("prefetcht0 %0" : : "m"(*line));
  } else {
    asm volatile("prefetcht1 %0" : : "m"(*line));
  }
#else
  __builtin_prefetch(reinterpret_cast<const void*>(address), 0, kLevel == Cache::kFirst ? 3 : 2);
#endif
}

}  // namespace hearth::tensor

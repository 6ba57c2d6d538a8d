// Loads an image into plain memory as the worker would into mapped pages, for the test and the
// fuzzer.
#pragma once

#include <cstring>
#include <vector>

#include "sandbox/worker/elf_image.h"

namespace hearth::sandbox {

inline std::uintptr_t find_any_but_bad(const char* name) {
  return std::strncmp(name, "no_", 3) == 0 ? 0 : 0x1000;
}

// True for an image that would run; checks on the way that nothing is written beyond its memory.
inline bool load_into_memory(std::span<const std::byte> file, ImagePlan& plan, Trouble& trouble) {
  constexpr std::uint64_t kBytesMax = std::uint64_t{16}
                                      << 20;  // Of memory here; the worker has its own limit.
  if (!plan_image(file, plan, trouble)) return false;
  if (plan.span_bytes > kBytesMax) return refuse(trouble, "too large for this harness");
  std::vector<std::byte> memory(plan.span_bytes);
  for (std::uint32_t i = 0; i < plan.n_segments; ++i) {
    const ImageSegment& segment = plan.segments[i];
    if (segment.file_bytes == 0) continue;
    std::memcpy(memory.data() + segment.address, file.data() + segment.file_offset,
                segment.file_bytes);
  }
  return relocate_image(file, plan, memory.data(), 0x7f0000000000, find_any_but_bad, trouble);
}

}  // namespace hearth::sandbox

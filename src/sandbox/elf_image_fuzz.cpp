// Any bytes as a kernel's image: refused with a sentence, or laid out within its own memory.
#include <cstdint>
#include <cstdlib>

#include "sandbox/test_support/elf_harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::sandbox;
  ImagePlan plan;
  Trouble trouble;
  const bool loaded =
      load_into_memory({reinterpret_cast<const std::byte*>(data), size}, plan, trouble);
  if (loaded != !trouble.any()) std::abort();
  if (loaded && plan.entry >= plan.span_bytes) std::abort();
  return 0;
}

// The bytes of worker/ and device/, linked by CMakeLists.txt into programs of their own before this
// file.
#include "sandbox/program.h"

#ifdef HEARTH_JAIL_PROGRAM

// The compiler's own embedding (#embed) is younger than g++ 12.
#define HEARTH_CARRY(name, file) \
  __asm__(                       \
      ".section .rodata\n"       \
      ".balign 64\n" name        \
      "_begin:\n"                \
      ".incbin \"" file          \
      "\"\n" name                \
      "_end:\n"                  \
      ".byte 0\n"                \
      ".text\n")

HEARTH_CARRY("hearth_jail_program", HEARTH_JAIL_PROGRAM);
HEARTH_CARRY("hearth_device_program", HEARTH_DEVICE_PROGRAM);

extern "C" const std::byte hearth_jail_program_begin[];
extern "C" const std::byte hearth_jail_program_end[];
extern "C" const std::byte hearth_device_program_begin[];
extern "C" const std::byte hearth_device_program_end[];

namespace hearth::sandbox {
std::span<const std::byte> program_bytes(Program program) {
  if (program == Program::kJail) return {hearth_jail_program_begin, hearth_jail_program_end};
  return {hearth_device_program_begin, hearth_device_program_end};
}
}  // namespace hearth::sandbox

#else

namespace hearth::sandbox {
std::span<const std::byte> program_bytes(Program) { return {}; }
}  // namespace hearth::sandbox

#endif

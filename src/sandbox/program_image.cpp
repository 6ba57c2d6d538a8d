// The bytes of worker/, linked by CMakeLists.txt into a program of their own before this file.
#include "sandbox/program.h"

#ifdef HEARTH_JAIL_PROGRAM

// The compiler's own embedding (#embed) is younger than g++ 12.
__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    "hearth_jail_program_begin:\n"
    ".incbin \"" HEARTH_JAIL_PROGRAM
    "\"\n"
    "hearth_jail_program_end:\n"
    ".byte 0\n"
    ".text\n");

extern "C" const std::byte hearth_jail_program_begin[];
extern "C" const std::byte hearth_jail_program_end[];

namespace hearth::sandbox {
std::span<const std::byte> program_bytes() {
  return {hearth_jail_program_begin, hearth_jail_program_end};
}
}  // namespace hearth::sandbox

#else

namespace hearth::sandbox {
std::span<const std::byte> program_bytes() { return {}; }
}  // namespace hearth::sandbox

#endif

// A file inside the program, copied in by the assembler: no array of a million numbers goes through the compiler.
#pragma once

#include <cstddef>

// Defines NAME_begin and NAME_end, of type const std::byte[], around the bytes of `file` (a string literal) and a zero
// behind them.  Once in one source file, outside of all namespaces.
#define HEARTH_EMBED_FILE(name, file)       \
  __asm__(".section .rodata\n"              \
          ".balign 64\n"                    \
          ".global " #name "_begin\n"       \
          #name "_begin:\n"                 \
          ".incbin \"" file "\"\n"          \
          ".global " #name "_end\n"         \
          #name "_end:\n"                   \
          ".byte 0\n"                       \
          ".previous\n");                   \
  extern "C" {                              \
  extern const std::byte name##_begin[];    \
  extern const std::byte name##_end[];      \
  }                                         \
  static_assert(true)

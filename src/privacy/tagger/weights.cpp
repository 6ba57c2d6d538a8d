// The built-in weights.  The assembler copies the file in, as cli/embedded_model.cpp does.
#include "privacy/tagger/weights.h"

__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    ".global hearth_tagger_begin\n"
    "hearth_tagger_begin:\n"
    ".incbin \"" HEARTH_TAGGER_FILE
    "\"\n"
    ".global hearth_tagger_end\n"
    "hearth_tagger_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const std::byte hearth_tagger_begin[];
extern const std::byte hearth_tagger_end[];
}

namespace hearth::privacy {

std::span<const std::byte> built_in_weights() { return {hearth_tagger_begin, hearth_tagger_end}; }

}  // namespace hearth::privacy

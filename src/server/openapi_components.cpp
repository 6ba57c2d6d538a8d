// The shapes of bodies, copied in by the assembler.
#include "server/openapi.h"

__asm__(
    ".section .rodata\n"
    ".global hearth_openapi_begin\n"
    "hearth_openapi_begin:\n"
    ".incbin \"" HEARTH_OPENAPI_COMPONENTS
    "\"\n"
    ".global hearth_openapi_end\n"
    "hearth_openapi_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const char hearth_openapi_begin[];
extern const char hearth_openapi_end[];
}

namespace hearth::server {

std::string_view openapi_components() {
  return {hearth_openapi_begin, static_cast<std::size_t>(hearth_openapi_end - hearth_openapi_begin)};
}

}  // namespace hearth::server

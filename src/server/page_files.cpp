// The page that scripts/page built, copied in by the assembler.
#include "server/page.h"

#include <cstddef>
#include <iterator>

#ifdef HEARTH_PAGE_PACK
__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    ".global hearth_page_begin\n"
    "hearth_page_begin:\n"
    ".incbin \"" HEARTH_PAGE_PACK
    "\"\n"
    ".global hearth_page_end\n"
    "hearth_page_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const char hearth_page_begin[];
extern const char hearth_page_end[];
}
#else
constexpr char hearth_page_begin[1] = {};
constexpr const char* hearth_page_end = hearth_page_begin;
#endif

namespace hearth::server {
namespace {

// The last row ends the table, which an array of none could not be.
constexpr PageFile kFiles[] = {
#ifdef HEARTH_PAGE_TABLE
#include HEARTH_PAGE_TABLE
#endif
    {}};

}  // namespace

Page embedded_page() {
  return {.files = std::span(kFiles).first(std::size(kFiles) - 1),
          .pack = {hearth_page_begin, static_cast<std::size_t>(hearth_page_end - hearth_page_begin)}};
}

}  // namespace hearth::server

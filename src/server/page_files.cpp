// The page that scripts/page built.
#include "server/page.h"

#include <cstddef>
#include <iterator>

#include "base/embedded_file.h"

#ifdef HEARTH_PAGE_PACK
HEARTH_EMBED_FILE(hearth_page, HEARTH_PAGE_PACK);
#else
constexpr std::byte hearth_page_begin[1] = {};
constexpr const std::byte* hearth_page_end = hearth_page_begin;
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
          .pack = {reinterpret_cast<const char*>(hearth_page_begin), static_cast<std::size_t>(hearth_page_end - hearth_page_begin)}};
}

}  // namespace hearth::server

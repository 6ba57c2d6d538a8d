#include "cli/embedded_model.h"

#include <fmt/format.h>

#include <string_view>

#include "base/digest.h"
#include "base/file.h"
#include "cli/paths.h"

// The assembler copies the file in: a C array of 8 MB would take the compiler a minute.
__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    ".global hearth_ember_begin\n"
    "hearth_ember_begin:\n"
    ".incbin \"" HEARTH_EMBER_FILE
    "\"\n"
    ".global hearth_ember_end\n"
    "hearth_ember_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const std::byte hearth_ember_begin[];
extern const std::byte hearth_ember_end[];
}

namespace hearth::cli {

std::span<const std::byte> embedded_model_bytes() { return {hearth_ember_begin, hearth_ember_end}; }

Result<std::filesystem::path> embedded_model_file() {
  const auto bytes = embedded_model_bytes();
  const auto path = cache_folder() / fmt::format("{:016x}", hash64(bytes)) / "ember.gguf";
  std::error_code error;
  if (std::filesystem::file_size(path, error) == bytes.size() && !error) return path;
  HEARTH_TRY_VOID(write_file_atomic(
      path, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  return path;
}

}  // namespace hearth::cli

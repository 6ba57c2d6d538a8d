#include "cli/embedded_model.h"

#include <fmt/format.h>

#include <string_view>

#include "base/digest.h"
#include "base/embedded_file.h"
#include "base/file.h"
#include "cli/paths.h"

HEARTH_EMBED_FILE(hearth_ember, HEARTH_EMBER_FILE);

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

#include "cli/privacy.h"

#include "base/file.h"

namespace hearth::cli {

Result<privacy::Dictionary> load_dictionaries(std::span<const std::string> files) {
  privacy::Dictionary all;
  for (const std::string& file : files) {
    HEARTH_TRY(const std::string text, read_file(file));
    HEARTH_TRY_VOID(all.parse(text, file));
  }
  return all;
}

}  // namespace hearth::cli

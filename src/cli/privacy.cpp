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

Result<privacy::Policy> load_policy(const std::string& file) {
  if (file.empty()) return privacy::Policy::standard();
  HEARTH_TRY(const std::string text, read_file(file));
  return privacy::parse_policy(text, file);
}

}  // namespace hearth::cli

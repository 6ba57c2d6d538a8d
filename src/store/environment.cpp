#include "store/environment.h"

#include <cstdlib>

namespace hearth::store {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path home(std::string_view below) {
  const fs::path folder = environment("HOME");
  return folder.empty() ? folder : folder / below;
}

fs::path cache(std::string_view below) {
  const fs::path folder = environment("XDG_CACHE_HOME");
  return folder.empty() ? home(".cache") / below : folder / below;
}

fs::path huggingface_home() {
  const fs::path folder = environment("HF_HOME");
  return folder.empty() ? cache("huggingface") : folder;
}

}  // namespace hearth::store

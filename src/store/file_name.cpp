#include "store/file_name.h"

namespace hearth::store {

std::optional<SplitPart> split_part(std::string_view stem) {
  constexpr std::string_view kShape = "-00000-of-00000";
  if (stem.size() <= kShape.size()) return std::nullopt;
  const std::string_view tail = stem.substr(stem.size() - kShape.size());
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const bool fits = kShape[i] == '0' ? tail[i] >= '0' && tail[i] <= '9' : tail[i] == kShape[i];
    if (!fits) return std::nullopt;
  }
  return SplitPart{std::string(stem.substr(0, stem.size() - kShape.size())),
                   std::string(tail.substr(tail.size() - 5))};
}

}  // namespace hearth::store

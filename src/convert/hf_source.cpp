#include <fmt/format.h>
#include "convert/model_source.h"
namespace hearth::convert {
Result<ModelSource> open_hf_source(const std::filesystem::path& folder) {
  return fail(Code::kUnsupported, folder.string());
}
}  // namespace hearth::convert

#include "model/config_reader.h"

namespace hearth::model {

Result<std::uint32_t> ConfigReader::scalar_or_uniform(std::string_view suffix,
                                                      std::optional<std::uint32_t> fallback) const {
  const gguf::Value* const value = file_.find(key(suffix));
  if (value == nullptr || !value->is_array()) return file_.get_u32(key(suffix), fallback);
  const auto first = value->u64_at(0);
  for (std::size_t i = 0; i < value->count(); ++i) {
    if (first && *first <= 0xFFFF'FFFFU && value->u64_at(i) == first) continue;
    return refuse(Code::kUnsupported,
                  fmt::format("key '{}' differs between layers, which this build does not run: "
                              "run the model in llama-server and add it as an upstream",
                              key(suffix)));
  }
  if (!first) return refuse(Code::kCorrupt, fmt::format("key '{}' is an empty list", key(suffix)));
  return static_cast<std::uint32_t>(*first);
}

Result<std::vector<std::uint32_t>> ConfigReader::count_per_layer(
    std::string_view suffix, std::uint32_t n_layers, std::uint32_t max,
    std::optional<std::uint32_t> fallback) const {
  const gguf::Value* const value = file_.find(key(suffix));
  if (value == nullptr || !value->is_array()) {
    HEARTH_TRY(const std::uint32_t one, count(suffix, max, fallback));
    return std::vector<std::uint32_t>(n_layers, one);
  }
  if (value->count() == 0) {
    return refuse(Code::kCorrupt, fmt::format("key '{}' is an empty list", key(suffix)));
  }
  if (value->count() < n_layers) {
    return refuse(Code::kCorrupt,
                  fmt::format("key '{}' lists {} layers of {}: convert the model again",
                              key(suffix), value->count(), n_layers));
  }
  std::vector<std::uint32_t> counts(n_layers);
  for (std::uint32_t i = 0; i < n_layers; ++i) {
    const auto one = value->u64_at(i);
    if (!one || *one > max) {
      return refuse(Code::kCorrupt, fmt::format("key '{}' holds no number of 0 to {} for layer {}: "
                                                "convert the model again",
                                                key(suffix), max, i));
    }
    counts[i] = static_cast<std::uint32_t>(*one);
  }
  return counts;
}

}  // namespace hearth::model

// The order in which a forward pass meets a model's weights.
#include <charconv>
#include <optional>
#include <string_view>

#include "model/loaded_model.h"

namespace hearth::model {
namespace {

// N of "blk.N.": the layer that a tensor belongs to.
std::optional<std::uint32_t> layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return {};
  std::uint32_t layer = 0;
  const char* const end = name.data() + name.size();
  const auto read = std::from_chars(name.data() + kPrefix.size(), end, layer);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '.') return {};
  return layer;
}

// Of tensors that belong to no layer.
std::uint32_t stage_of(const gguf::TensorInfo& info, const Weights& weights) {
  const auto n_layers = static_cast<std::uint32_t>(weights.layers.size());
  const auto is = [&](const tensor::MatView& w) { return w.data != nullptr && info.data.data() == w.data; };
  if (is(weights.output)) return n_layers;
  if (is(weights.embedding) || is(weights.inputs_embedding)) return n_layers + 1;  // Row by row.
  return info.name.starts_with("per_layer_") ? 0 : n_layers;  // What makes layers' inputs comes first.
}

}  // namespace

std::unique_ptr<PageStream> make_weight_stream(const gguf::GgufFile& file, const Weights& weights,
                                               std::shared_ptr<PageReader> reader) {
  const auto n_layers = static_cast<std::uint32_t>(weights.layers.size());
  std::vector<StagedBytes> staged;
  for (const gguf::TensorInfo& info : file.tensors()) {
    const auto layer = layer_of(info.name);
    if (layer && *layer >= n_layers) continue;  // Behind the last: not run.
    staged.push_back({info.data, layer ? *layer : stage_of(info, weights)});
  }
  return std::make_unique<PageStream>(std::move(reader), file.parts(), staged, n_layers + 2);
}

}  // namespace hearth::model

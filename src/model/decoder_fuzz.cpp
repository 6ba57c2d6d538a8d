// Any GGUF bytes as a decoder: an error that names the file, or weights whose every matrix lies
// within the bytes and has the width that its input has.
#include <cstddef>
#include <cstdint>
#include <string>

#include "gguf/gguf_file.h"
#include "model/config.h"
#include "model/weights.h"

namespace {

using namespace hearth::model;

void check(const Weights& weights, const ModelConfig& c, std::span<const std::byte> bytes) {
  HEARTH_CHECK(weights.layers.size() == c.n_layers && c.layers.size() == c.n_layers);
  HEARTH_CHECK(c.n_heads % c.n_kv_heads == 0 && c.head_dim <= kHeadDimMax);
  HEARTH_CHECK(c.rope_dim <= c.head_dim && c.delta.state_size <= kHeadDimMax);
  for (std::uint32_t i = 0; i < c.n_layers; ++i) {
    const LayerWeights& layer = weights.layers[i];
    const LayerKind kind = c.layers[i].kind;
    HEARTH_CHECK(layer.attn_out.rows == (kind == LayerKind::kNothing ? 0 : c.d_model));
    HEARTH_CHECK(c.layers[i].head_dim <= c.head_dim && c.layers[i].n_kv_heads <= c.n_kv_heads);
    HEARTH_CHECK(c.layers[i].kv_index < c.n_layers && c.last_storing_layer < c.n_layers);
    HEARTH_CHECK((layer.k.data == nullptr) ==
                 (kind != LayerKind::kAttention || c.layers[i].borrows_kv));
    HEARTH_CHECK((layer.conv != nullptr) == (kind == LayerKind::kConvolution));
    HEARTH_CHECK((layer.delta.conv != nullptr) == (kind == LayerKind::kDeltaNet));
    HEARTH_CHECK((layer.mamba.conv != nullptr) == (kind == LayerKind::kMamba));
    for (const auto& w : matrices_of(layer)) {
      HEARTH_CHECK(w.data >= bytes.data() && w.data + w.bytes() <= bytes.data() + bytes.size());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const auto file = hearth::gguf::GgufFile::parse(bytes, "fuzz.gguf");
  if (!file) return 0;
  const auto architecture = architecture_of(*file);
  if (!architecture) return 0;
  auto config = read_config(*file, **architecture);
  if (!config) {
    HEARTH_CHECK(config.error().message.find("fuzz.gguf") != std::string::npos);
    return 0;
  }
  const auto weights = bind_weights(*file, **architecture, *config);
  if (weights) check(*weights, *config, bytes);
  return 0;
}

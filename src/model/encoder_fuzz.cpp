// Any GGUF bytes as an encoder: an error that names the file, or weights whose every view lies
// within the bytes and has the shape that the configuration says.
#include <cstddef>
#include <cstdint>
#include <string>

#include "gguf/gguf_file.h"
#include "model/encoder_weights.h"

namespace {

using hearth::tensor::MatView;

struct Bytes {
  const std::byte* begin;
  const std::byte* end;

  void hold(const MatView& w, std::uint32_t rows, std::uint32_t cols) const {
    HEARTH_CHECK(w.rows == rows && w.cols == cols);
    HEARTH_CHECK(w.data >= begin && w.data + w.bytes() <= end);
  }
  void hold(const float* values, std::uint32_t n) const {
    const auto* const at = reinterpret_cast<const std::byte*>(values);
    HEARTH_CHECK(at >= begin && at + n * sizeof(float) <= end);
  }
  void hold(const hearth::model::Linear& linear, std::uint32_t rows, std::uint32_t cols) const {
    hold(linear.weight, rows, cols);
    hold(linear.bias, rows);
  }
  void hold(const hearth::model::LayerNorm& norm, std::uint32_t n) const {
    hold(norm.weight, n);
    hold(norm.bias, n);
  }
};

void check(const hearth::model::EncoderWeights& weights, const hearth::model::EncoderConfig& c,
           const Bytes& bytes) {
  HEARTH_CHECK(weights.layers.size() == c.n_layers && c.n_heads * c.head_dim == c.d_model);
  bytes.hold(weights.tokens, c.n_vocab, c.d_model);
  HEARTH_CHECK(weights.positions.rows >= c.n_context && weights.types.rows >= 1);
  bytes.hold(weights.positions, weights.positions.rows, c.d_model);
  bytes.hold(weights.types, weights.types.rows, c.d_model);
  bytes.hold(weights.embedding_norm, c.d_model);
  for (const auto& layer : weights.layers) {
    for (const auto* const linear : {&layer.q, &layer.k, &layer.v, &layer.attn_out}) {
      bytes.hold(*linear, c.d_model, c.d_model);
    }
    bytes.hold(layer.up, c.d_ff, c.d_model);
    bytes.hold(layer.down, c.d_model, c.d_ff);
    bytes.hold(layer.attn_norm, c.d_model);
    bytes.hold(layer.ffn_norm, c.d_model);
  }
  if (c.pooling != hearth::model::Pooling::kRank) return;
  bytes.hold(weights.score, 1, c.d_model);
  if (weights.classifier.weight.data != nullptr) {
    bytes.hold(weights.classifier, c.d_model, c.d_model);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const auto file = hearth::gguf::GgufFile::parse(bytes, "fuzz.gguf");
  if (!file) return 0;
  auto config = hearth::model::read_encoder_config(*file);
  if (!config) {
    HEARTH_CHECK(config.error().message.find("fuzz.gguf") != std::string::npos);
    return 0;
  }
  const auto weights = hearth::model::bind_encoder_weights(*file, *config);
  if (weights) check(*weights, *config, {bytes.data(), bytes.data() + bytes.size()});
  return 0;
}

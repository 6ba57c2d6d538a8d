// Embeddings for each layer, as Gemma 4's small models have them: a token brings, beside its row of
// the residual stream, a short vector for every layer, which the layer gates by its output and adds.
//
//   inputs = (norm(x projection^T / sqrt(d_model)) + table[token] sqrt(d_per_layer)) / sqrt(2)
#include <algorithm>
#include <cmath>

#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {

float* ForwardPass::inputs_row(std::uint32_t i) const {
  return s_.inputs.data() + std::size_t{i} * inputs_width_;
}

void ForwardPass::embed_inputs() {
  const std::uint32_t part = config_.d_per_layer;
  if (part == 0) return;
  const Weights& w = model_.weights();
  inputs_width_ = std::size_t{config_.n_layers} * part;
  prepare(s_.x.data(), config_.d_model, {w.inputs_projection.type}, n_rows_);
  multiply({product(w.inputs_projection, nullptr, s_.inputs.data())}, {});

  const float scale = 1.0F / std::sqrt(static_cast<float>(config_.d_model));
  const float table_scale = std::sqrt(static_cast<float>(part));
  const float half = 1.0F / std::sqrt(2.0F);
  std::uint32_t base = 0;
  for (const Segment& segment : batch_) {
    for_rows(static_cast<std::uint32_t>(segment.tokens.size()), [&](std::uint32_t i) {
      float* const inputs = inputs_row(base + i);
      float* const table = s_.inputs_table.data() + (base + i) * inputs_width_;
      tensor::dequantize_row(w.inputs_embedding, static_cast<std::uint32_t>(segment.tokens[i]),
                             table);
      for (std::size_t at = 0; at < inputs_width_; at += part) {
        for (std::uint32_t d = 0; d < part; ++d) inputs[at + d] *= scale;
        tensor::rms_norm(inputs + at, w.inputs_norm, part, config_.norm_eps, inputs + at);
        for (std::uint32_t d = 0; d < part; ++d) {
          inputs[at + d] = (inputs[at + d] + table[at + d] * table_scale) * half;
        }
      }
    });
    base += static_cast<std::uint32_t>(segment.tokens.size());
  }
}

// x += norm((gelu(x gate^T) * inputs) out^T)
void ForwardPass::add_inputs(const LayerWeights& w) {
  const std::uint32_t part = config_.d_per_layer;
  if (part == 0) return;
  prepare(s_.x.data(), config_.d_model, {w.inputs_gate.type}, n_rows_);
  multiply({product(w.inputs_gate, nullptr, s_.inputs_gate.data())}, {w.inputs_out});
  for_rows(n_rows_, [&](std::uint32_t i) {
    float* const gate = s_.inputs_gate.data() + std::size_t{i} * part;
    tensor::gelu_mul(gate, inputs_row(i) + std::size_t{layer_} * part, part, gate);
  });
  prepare(s_.inputs_gate.data(), part, {w.inputs_out.type}, n_rows_);
  multiply({product(w.inputs_out, nullptr, s_.normed.data())}, {});
  for_rows(n_rows_, [&](std::uint32_t i) {
    tensor::rms_norm(normed_row(i), w.inputs_norm, config_.d_model, config_.norm_eps,
                     normed_row(i));
    tensor::add(normed_row(i), config_.d_model, x_row(i));
  });
}

void ForwardPass::scale_output(const LayerWeights& w) {
  if (w.output_scale == nullptr) return;
  const float scale = *w.output_scale;
  for_rows(n_rows_, [&](std::uint32_t i) {
    for (std::uint32_t d = 0; d < config_.d_model; ++d) x_row(i)[d] *= scale;
  });
}

}  // namespace hearth::model

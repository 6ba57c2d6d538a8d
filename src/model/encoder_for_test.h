// A small encoder with random weights, for the tests of whoever loads or asks one.  Header-only, so
// that no product binary carries it.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gguf/gguf_writer.h"
#include "tensor/float_formats.h"

namespace hearth::model {

struct TestEncoderOptions {
  std::uint32_t n_layers = 2, d_model = 64, d_ff = 96, n_heads = 4, n_context = 32;
  std::uint32_t pooling = 1;  // 4: with a classifier, of n_classes outputs.
  std::uint32_t n_classes = 1;
  tensor::DType type = tensor::DType::kF32;  // Of the layers' matrices: F32 or F16.
  std::string without;                       // A tensor that is left out.
};

inline const std::vector<std::string>& test_encoder_tokens() {
  static const std::vector<std::string> tokens = {
      "[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁the", "▁cat", "▁dog", "▁sat", "▁on", "▁mat", "s", "▁."};
  return tokens;
}

inline gguf::GgufWriter make_test_encoder(const TestEncoderOptions& options = {}) {
  gguf::GgufWriter out;
  out.set_string("general.architecture", "bert");
  out.set_string("general.name", "tiny encoder");
  out.set_u32("bert.block_count", options.n_layers);
  out.set_u32("bert.embedding_length", options.d_model);
  out.set_u32("bert.feed_forward_length", options.d_ff);
  out.set_u32("bert.attention.head_count", options.n_heads);
  out.set_u32("bert.context_length", options.n_context);
  out.set_f32("bert.attention.layer_norm_epsilon", 1e-12F);
  out.set_u32("bert.pooling_type", options.pooling);
  out.set_string("tokenizer.ggml.model", "bert");
  out.set_strings("tokenizer.ggml.tokens", test_encoder_tokens());
  std::vector<std::int32_t> types(test_encoder_tokens().size(), 1);
  for (std::size_t id = 0; id < 4; ++id) types[id] = 3;
  out.set_i32s("tokenizer.ggml.token_type", types);

  std::mt19937 rng(7);
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> dims, float mean,
                       float spread, tensor::DType type = tensor::DType::kF32) {
    std::normal_distribution<float> normal(mean, spread);
    std::uint64_t n = 1;
    for (const std::uint64_t dim : dims) n *= dim;
    std::vector<float> values(n);
    for (float& value : values) value = normal(rng);
    if (name == options.without) return;
    out.add_tensor(name, type, dims, [values, type](std::span<std::byte> to) {
      if (type == tensor::DType::kF32) return (void)std::memcpy(to.data(), values.data(), to.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const tensor::F16 half = tensor::f16_from_f32(values[i]);
        std::memcpy(to.data() + i * sizeof half, &half, sizeof half);
      }
    });
  };
  const std::uint64_t d = options.d_model, f = options.d_ff;
  const auto add_norm = [&](const std::string& name) {
    add(name + ".weight", {d}, 1, 0.1F);
    add(name + ".bias", {d}, 0, 0.1F);
  };
  const auto add_linear = [&](const std::string& name, std::uint64_t cols, std::uint64_t rows) {
    add(name + ".weight", {cols, rows}, 0, 0.15F, options.type);
    add(name + ".bias", {rows}, 0, 0.1F);
  };
  add("token_embd.weight", {d, test_encoder_tokens().size()}, 0, 1);
  add("position_embd.weight", {d, options.n_context}, 0, 0.3F);
  add("token_types.weight", {d, 2}, 0, 0.3F);
  add_norm("token_embd_norm");
  for (std::uint32_t i = 0; i < options.n_layers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
      add_linear(prefix + name, d, d);
    }
    add_linear(prefix + "ffn_up", d, f);
    add_linear(prefix + "ffn_down", f, d);
    add_norm(prefix + "attn_output_norm");
    add_norm(prefix + "layer_output_norm");
  }
  if (options.pooling == 4) {
    add_linear("cls", d, d);
    add_linear("cls.output", d, options.n_classes);
  }
  return out;
}

}  // namespace hearth::model

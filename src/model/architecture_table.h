// What sets the architectures apart, as data: one row each.
//
// Decoder-only transformers differ in few ways that matter here: which rotary pairs they use,
// which layers look back how far, whether projections carry biases, what is normalised, how the
// feed-forward block gates.  A new architecture is a row, and where it needs something that no
// other has, a field that config.cpp (what to read), weights.cpp (what to bind) or the forward
// pass (what to compute) looks at.  Nothing else in this room asks for an architecture's name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::model {

// Which two elements of a head one rotation turns.
enum class RopePairs : std::uint8_t {
  kAdjacent,   // (0, 1), (2, 3), ...  as llama's GGUF conversion permutes them.
  kSplitHalf,  // (0, d/2), (1, d/2 + 1), ...  as GPT-NeoX laid them out.
};

// How the feed-forward block joins its gate and its up projection (tensor/vector_ops.h); the last
// has no gate.
enum class Activation : std::uint8_t { kSiluMul, kGeluMul, kClampedSwiglu, kSquaredRelu };

// What a router's logits become before the best are chosen.
enum class Routing : std::uint8_t { kSoftmax, kSigmoid };

// What stands beside a mixture of experts, for every token.
enum class SharedExpert : std::uint8_t {
  kNever,
  kOptional,    // A block of its own where the file gives it a length.
  kGated,       // The same, always, weighed by a gate.
  kDenseBlock,  // The layer's feed-forward block, each of the two with norms of its own.
};

// Whether a file of this architecture must, may or must not carry a tensor.
enum class Presence : std::uint8_t { kNever, kOptional, kRequired };

struct Architecture {
  std::string_view name;  // GGUF `general.architecture`.
  RopePairs rope_pairs = RopePairs::kSplitHalf;
  Activation activation = Activation::kSiluMul;

  // Tensors.
  Presence qkv_bias = Presence::kNever;
  Presence output_bias = Presence::kNever;  // Of the attention's output projection.
  Presence ffn_bias = Presence::kNever;     // Also of experts and their router.
  Presence qk_norm = Presence::kNever;      // RMS norm of each head's query and key,
  bool qk_norm_is_of_rows = false;          // or of all heads' together.
  Presence pre_norm = Presence::kRequired;  // Norms of both blocks' inputs.
  Presence post_norm = Presence::kNever;    // Norms of both blocks' outputs.
  Presence sinks = Presence::kNever;        // A learned logit per head that takes attention.
  Presence experts = Presence::kNever;      // A mixture instead of one feed-forward block.
  Routing routing = Routing::kSoftmax;
  SharedExpert shared_expert = SharedExpert::kNever;
  Presence value_matrix = Presence::kRequired;     // Without one, values are the keys as projected.
  Presence classifier = Presence::kNever;          // Of files that rank (decoder_ranker.h).
  Presence output_scale = Presence::kNever;        // A factor of what a layer hands on.
  Presence per_layer_inputs = Presence::kNever;    // A second embedding, a part for each layer.
  bool gates_attention = false;             // Beside each head's query, a gate of its output.
  bool norms_values = false;                // RMS norm of each head's value, without weights.
  bool is_fused = false;                    // Q, K, V are one matrix, gate and up another.
  std::string_view ffn_norm_name = "ffn_norm.weight";
  std::string_view output_norm_name = "output_norm.weight";

  // Layers.  Where the file gives a layer no key-value heads, it is a short convolution,
  bool has_convolutions = false;
  Presence mamba = Presence::kNever;  // or Mamba-2,
  // and each layer is one block alone: a feed-forward block where the file gives it a length.
  bool is_one_block_each = false;
  // All but the last layer of each `full_attention_interval` of the file are gated delta nets.
  Presence delta_nets = Presence::kNever;
  // Value heads that share a key head are neighbours, and so are their betas and alphas, which are
  // one matrix; else key heads come round in turn.
  bool delta_heads_are_grouped = false;
  // Of `sliding_period` layers all but the last look back only over the file's sliding
  // window; 0: no layer does, 1: each does where the file names a window.
  std::uint32_t sliding_period = 0;
  float sliding_rope_theta = 0;        // Of sliding layers, unscaled; 0: that of all layers,
  bool sliding_rope_is_plain = false;  // of which they leave out the scaling.
  std::uint32_t no_rope_period = 0;  // Each such layer has no rotary embedding.

  bool rope_is_switched = false;     // None has where the file's `rope.scaling.finetuned` is false.

  // Numbers.
  bool scales_embedding = false;  // By sqrt(d_model).
  // The file's own factors of the embedding, of what blocks add, of query · key and of the logits.
  bool has_multipliers = false;
  float query_scale = 0;  // Of query · key; 0: one over the root of the head's size.
  // With so many layers, queries are scaled by d_model / n_heads instead of the head's size: what
  // Gemma's 27 B variants do, and no key of their files says.
  std::uint32_t wide_query_layers = 0;
};

// nullptr for one that this build does not run.
const Architecture* find_architecture(std::string_view name);

// "llama, qwen2, qwen3": for errors.
std::string supported_architectures();

}  // namespace hearth::model

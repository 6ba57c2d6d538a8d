#include "model/architecture_table.h"

#include <algorithm>
#include <array>

namespace hearth::model {
namespace {

constexpr std::array kArchitectures = std::to_array<Architecture>({
    {.name = "llama",
     .rope_pairs = RopePairs::kAdjacent,
     .qkv_bias = Presence::kOptional,
     .output_bias = Presence::kOptional,
     .ffn_bias = Presence::kOptional,
     .experts = Presence::kOptional},
    {.name = "qwen2", .qkv_bias = Presence::kRequired, .output_bias = Presence::kOptional},
    {.name = "qwen3", .qkv_bias = Presence::kOptional, .qk_norm = Presence::kRequired},
    {.name = "qwen3moe",
     .qkv_bias = Presence::kOptional,
     .qk_norm = Presence::kRequired,
     .experts = Presence::kRequired},
    {.name = "gemma2",
     .activation = Activation::kGeluMul,
     .post_norm = Presence::kRequired,
     .sliding_period = 2,
     .scales_embedding = true,
     .wide_query_layers = 46},
    {.name = "gemma3",
     .activation = Activation::kGeluMul,
     .qk_norm = Presence::kRequired,
     .post_norm = Presence::kRequired,
     .sliding_period = 6,
     .sliding_rope_theta = 10000.0F,
     .scales_embedding = true,
     .wide_query_layers = 62},
    {.name = "gemma4",
     .activation = Activation::kGeluMul,
     .qk_norm = Presence::kRequired,
     .post_norm = Presence::kRequired,
     .experts = Presence::kOptional,
     .shared_expert = SharedExpert::kDenseBlock,
     .value_matrix = Presence::kOptional,
     .output_scale = Presence::kOptional,
     .per_layer_inputs = Presence::kRequired,
     .norms_values = true,
     .sliding_period = 6,
     .sliding_rope_theta = 10000.0F,
     .scales_embedding = true,
     .query_scale = 1.0F},
    {.name = "phi3", .is_fused = true, .sliding_period = 1},
    {.name = "smollm3", .rope_pairs = RopePairs::kAdjacent, .no_rope_period = 4},
    {.name = "gpt-oss",
     .activation = Activation::kClampedSwiglu,
     .qkv_bias = Presence::kRequired,
     .output_bias = Presence::kRequired,
     .ffn_bias = Presence::kRequired,
     .sinks = Presence::kRequired,
     .experts = Presence::kRequired,
     .ffn_norm_name = "post_attention_norm.weight",
     .sliding_period = 2},
    {.name = "olmo2",
     .qk_norm = Presence::kRequired,
     .qk_norm_is_of_rows = true,
     .pre_norm = Presence::kNever,
     .post_norm = Presence::kRequired,
     .sliding_period = 4,
     .sliding_rope_is_plain = true},
    {.name = "granite",
     .rope_pairs = RopePairs::kAdjacent,
     .output_bias = Presence::kOptional,
     .ffn_bias = Presence::kOptional,
     .has_multipliers = true},
    {.name = "granitemoe",
     .rope_pairs = RopePairs::kAdjacent,
     .output_bias = Presence::kOptional,
     .experts = Presence::kRequired,
     .shared_expert = SharedExpert::kOptional,
     .has_multipliers = true},
    {.name = "lfm2",
     .qk_norm = Presence::kRequired,
     .output_norm_name = "token_embd_norm.weight",
     .has_convolutions = true,
     .sliding_period = 1},
    {.name = "qwen35",
     .qk_norm = Presence::kRequired,
     .gates_attention = true,
     .ffn_norm_name = "post_attention_norm.weight",
     .delta_nets = Presence::kRequired},
    {.name = "qwen35moe",
     .qk_norm = Presence::kRequired,
     .experts = Presence::kRequired,
     .shared_expert = SharedExpert::kGated,
     .gates_attention = true,
     .ffn_norm_name = "post_attention_norm.weight",
     .delta_nets = Presence::kRequired},
    {.name = "qwen3next",
     .qk_norm = Presence::kRequired,
     .experts = Presence::kRequired,
     .shared_expert = SharedExpert::kGated,
     .gates_attention = true,
     .ffn_norm_name = "post_attention_norm.weight",
     .delta_nets = Presence::kRequired,
     .delta_heads_are_grouped = true},
    {.name = "mistral3",
     .rope_pairs = RopePairs::kAdjacent,
     .qkv_bias = Presence::kOptional,
     .output_bias = Presence::kOptional,
     .ffn_bias = Presence::kOptional,
     .experts = Presence::kOptional},
});

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  const auto row = std::ranges::find(kArchitectures, name, &Architecture::name);
  return row == kArchitectures.end() ? nullptr : row;
}

std::string supported_architectures() {
  std::string names;
  for (const Architecture& row : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace hearth::model

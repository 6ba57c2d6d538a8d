// Which tensors a layer has, and of which shape: tables that weights.cpp binds by.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "model/weights.h"

namespace hearth::model {

using tensor::MatView;

// A tensor's dimension in terms of the configuration.
enum class Dim : std::uint8_t {
  kModel,
  kQuery,
  kQueryRows,
  kKeyValue,
  kQueryNorm,
  kKeyNorm,
  kHeads,
  kFf,
  kFfExpert,
  kExperts,
  kDeltaChannels,
  kDeltaValues,
  kDeltaHeads,
  kDeltaState,
  kPerLayer,
  kOne
};

inline std::uint32_t extent(Dim dim, const ModelConfig& config, const LayerPlan& plan) {
  switch (dim) {
    case Dim::kModel:
      return config.d_model;
    case Dim::kQuery:
      return config.d_query(plan);
    case Dim::kQueryRows:
      return config.gates_attention ? 2 * config.d_query(plan) : config.d_query(plan);
    case Dim::kDeltaChannels:
      return config.delta.channels();
    case Dim::kDeltaValues:
      return config.delta.value_width();
    case Dim::kDeltaHeads:
      return config.delta.n_value_heads;
    case Dim::kDeltaState:
      return config.delta.state_size;
    case Dim::kKeyValue:
      return plan.n_kv_heads * plan.head_dim;
    case Dim::kQueryNorm:
      return config.qk_norm_is_of_rows ? config.d_query(plan) : plan.head_dim;
    case Dim::kKeyNorm:
      return config.qk_norm_is_of_rows ? plan.n_kv_heads * plan.head_dim : plan.head_dim;
    case Dim::kHeads:
      return config.n_heads;
    case Dim::kFf:
      return plan.d_ff;
    case Dim::kFfExpert:
      return config.d_ff_expert;
    case Dim::kExperts:
      return config.n_experts;
    case Dim::kPerLayer:
      return config.d_per_layer;
    case Dim::kOne:
      return 1;
  }
  return 0;
}

template <class Owner>
struct MatrixRow {
  std::string_view suffix;  // After "blk.N.".
  MatView Owner::* slot;
  Dim rows, cols;
};

// Of attention: queries, and then what is kept, if the layer keeps its own.
constexpr auto kQueryMatrix = std::to_array<MatrixRow<LayerWeights>>({
    {"attn_q.weight", &LayerWeights::q, Dim::kQueryRows, Dim::kModel},
});
constexpr auto kKeyMatrix = std::to_array<MatrixRow<LayerWeights>>({
    {"attn_k.weight", &LayerWeights::k, Dim::kKeyValue, Dim::kModel},
});
constexpr auto kValueMatrix = std::to_array<MatrixRow<LayerWeights>>({
    {"attn_v.weight", &LayerWeights::v, Dim::kKeyValue, Dim::kModel},
});
constexpr auto kAttentionOut = std::to_array<MatrixRow<LayerWeights>>({
    {"attn_output.weight", &LayerWeights::attn_out, Dim::kModel, Dim::kQuery},
});
constexpr auto kRouter = std::to_array<MatrixRow<ExpertWeights>>({
    {"ffn_gate_inp.weight", &ExpertWeights::router, Dim::kExperts, Dim::kModel},
});
// Each [n_experts, rows, cols].
constexpr auto kExpertGateUp = std::to_array<MatrixRow<ExpertWeights>>({
    {"ffn_gate_exps.weight", &ExpertWeights::gate, Dim::kFfExpert, Dim::kModel},
    {"ffn_up_exps.weight", &ExpertWeights::up, Dim::kFfExpert, Dim::kModel},
});
constexpr auto kExpertUp = std::to_array<MatrixRow<ExpertWeights>>({
    {"ffn_up_exps.weight", &ExpertWeights::up, Dim::kFfExpert, Dim::kModel},
});
constexpr auto kExpertDown = std::to_array<MatrixRow<ExpertWeights>>({
    {"ffn_down_exps.weight", &ExpertWeights::down, Dim::kModel, Dim::kFfExpert},
});
constexpr auto kPerLayerInputs = std::to_array<MatrixRow<LayerWeights>>({
    {"inp_gate.weight", &LayerWeights::inputs_gate, Dim::kPerLayer, Dim::kModel},
    {"proj.weight", &LayerWeights::inputs_out, Dim::kModel, Dim::kPerLayer},
});

// A vector, or one vector per expert.
template <class Owner>
struct VectorRow {
  std::string_view suffix;
  VecView Owner::* slot;
  Dim size;
  Presence Architecture::* presence;
  bool is_per_expert = false;         // [n_experts, size]
};

constexpr auto kBlockNorms = std::to_array<VectorRow<LayerWeights>>({
    {"attn_norm.weight", &LayerWeights::attn_norm, Dim::kModel, &Architecture::pre_norm},
    {"post_attention_norm.weight", &LayerWeights::post_attn_norm, Dim::kModel,
     &Architecture::post_norm},
    {"post_ffw_norm.weight", &LayerWeights::post_ffn_norm, Dim::kModel, &Architecture::post_norm},
    {"layer_output_scale.weight", &LayerWeights::output_scale, Dim::kOne,
     &Architecture::output_scale},
});
constexpr auto kPerLayerVectors = std::to_array<VectorRow<LayerWeights>>({
    {"post_norm.weight", &LayerWeights::inputs_norm, Dim::kModel, &Architecture::per_layer_inputs},
});
constexpr auto kQueryVectors = std::to_array<VectorRow<LayerWeights>>({
    {"attn_q.bias", &LayerWeights::q_bias, Dim::kQuery, &Architecture::qkv_bias},
    {"attn_output.bias", &LayerWeights::attn_out_bias, Dim::kModel, &Architecture::output_bias},
    {"attn_q_norm.weight", &LayerWeights::q_norm, Dim::kQueryNorm, &Architecture::qk_norm},
    {"attn_sinks.weight", &LayerWeights::sinks, Dim::kHeads, &Architecture::sinks},
});
constexpr auto kKeyVectors = std::to_array<VectorRow<LayerWeights>>({
    {"attn_k.bias", &LayerWeights::k_bias, Dim::kKeyValue, &Architecture::qkv_bias},
    {"attn_v.bias", &LayerWeights::v_bias, Dim::kKeyValue, &Architecture::qkv_bias},
    {"attn_k_norm.weight", &LayerWeights::k_norm, Dim::kKeyNorm, &Architecture::qk_norm},
});
constexpr auto kDeltaMatrices = std::to_array<MatrixRow<DeltaNetWeights>>({
    {"attn_qkv.weight", &DeltaNetWeights::qkv, Dim::kDeltaChannels, Dim::kModel},
    {"attn_gate.weight", &DeltaNetWeights::gate, Dim::kDeltaValues, Dim::kModel},
});
constexpr auto kDeltaBetaAlpha = std::to_array<MatrixRow<DeltaNetWeights>>({
    {"ssm_beta.weight", &DeltaNetWeights::beta, Dim::kDeltaHeads, Dim::kModel},
    {"ssm_alpha.weight", &DeltaNetWeights::alpha, Dim::kDeltaHeads, Dim::kModel},
});
constexpr auto kDeltaVectors = std::to_array<VectorRow<DeltaNetWeights>>({
    {"ssm_dt.bias", &DeltaNetWeights::dt_bias, Dim::kDeltaHeads, &Architecture::delta_nets},
    {"ssm_a", &DeltaNetWeights::a, Dim::kDeltaHeads, &Architecture::delta_nets},
    {"ssm_norm.weight", &DeltaNetWeights::norm, Dim::kDeltaState, &Architecture::delta_nets},
});
constexpr auto kDenseBiases = std::to_array<VectorRow<LayerWeights>>({
    {"ffn_gate.bias", &LayerWeights::gate_bias, Dim::kFf, &Architecture::ffn_bias},
    {"ffn_up.bias", &LayerWeights::up_bias, Dim::kFf, &Architecture::ffn_bias},
    {"ffn_down.bias", &LayerWeights::down_bias, Dim::kModel, &Architecture::ffn_bias},
});
constexpr auto kExpertBiases = std::to_array<VectorRow<ExpertWeights>>({
    {"ffn_gate_inp.bias", &ExpertWeights::router_bias, Dim::kExperts, &Architecture::ffn_bias},
    {"ffn_gate_exps.bias", &ExpertWeights::gate_bias, Dim::kFfExpert, &Architecture::ffn_bias,
     true},
    {"ffn_up_exps.bias", &ExpertWeights::up_bias, Dim::kFfExpert, &Architecture::ffn_bias, true},
    {"ffn_down_exps.bias", &ExpertWeights::down_bias, Dim::kModel, &Architecture::ffn_bias, true},
});

}  // namespace hearth::model

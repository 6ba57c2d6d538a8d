#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "model/config_layers.h"
#include "model/config_reader.h"
#include "model/encoder.h"

namespace hearth::model {
namespace {

Result<> read_convolutions(const ConfigReader& reader, const Architecture& architecture,
                           ModelConfig& config) {
  if (!architecture.has_convolutions) return {};
  HEARTH_TRY(config.conv_width, reader.count("shortconv.l_cache", kPageTokens));
  return {};
}

Result<> read_delta_nets(const ConfigReader& reader, const Architecture& architecture,
                         ModelConfig& config) {
  if (architecture.delta_nets == Presence::kNever) return {};
  DeltaNetConfig& delta = config.delta;
  HEARTH_TRY(delta.state_size, reader.count("ssm.state_size", kHeadDimMax));
  HEARTH_TRY(delta.n_key_heads, reader.count("ssm.group_count", kHeadsMax));
  HEARTH_TRY(delta.n_value_heads, reader.count("ssm.time_step_rank", kHeadsMax));
  HEARTH_TRY(delta.conv_width, reader.count("ssm.conv_kernel", kDeltaConvMax));
  HEARTH_TRY(const std::uint32_t width,
             reader.count("ssm.inner_size", kWidthMax, delta.value_width()));
  delta.heads_are_grouped = architecture.delta_heads_are_grouped;
  if (width == delta.value_width() && delta.n_value_heads % delta.n_key_heads == 0 &&
      delta.state_size % kHeadDimMultiple == 0) {
    return {};
  }
  return reader.refuse(
      Code::kUnsupported,
      fmt::format("delta nets with {} value heads of {} in {}, which share {} key heads, are not "
                  "run: run the model in llama-server and add it as an upstream",
                  delta.n_value_heads, delta.state_size, width, delta.n_key_heads));
}

Result<> read_mamba(const ConfigReader& reader, const Architecture& architecture,
                    ModelConfig& config) {
  if (architecture.mamba == Presence::kNever) return {};
  MambaConfig& mamba = config.mamba;
  HEARTH_TRY(mamba.state_size, reader.count("ssm.state_size", kHeadDimMax));
  HEARTH_TRY(mamba.n_groups, reader.count("ssm.group_count", kHeadsMax));
  HEARTH_TRY(mamba.n_heads, reader.count("ssm.time_step_rank", kHeadsMax));
  HEARTH_TRY(mamba.conv_width, reader.count("ssm.conv_kernel", kDeltaConvMax));
  HEARTH_TRY(mamba.d_inner, reader.count("ssm.inner_size", kWidthMax));
  const std::uint32_t size = mamba.head_dim();
  if (size * mamba.n_heads == mamba.d_inner && mamba.n_heads % mamba.n_groups == 0 &&
      size % kHeadDimMultiple == 0 && size > 0 && size <= kHeadDimMax &&
      mamba.state_size % kHeadDimMultiple == 0) {
    return {};
  }
  return reader.refuse(
      Code::kUnsupported,
      fmt::format("Mamba layers of {} with {} heads in {} groups and states of {} are not run: run "
                  "the model in llama-server and add it as an upstream",
                  mamba.d_inner, mamba.n_heads, mamba.n_groups, mamba.state_size));
}

// Layers that guess further tokens are counted among the file's.
Result<> read_layer_count(const ConfigReader& reader, ModelConfig& config) {
  HEARTH_TRY(config.n_layers, reader.count("block_count", kLayersMax));
  HEARTH_TRY(config.n_further_layers,
             reader.file().get_u32(reader.key("nextn_predict_layers"), 0U));
  if (config.n_further_layers < config.n_layers) {
    config.n_layers -= config.n_further_layers;
    return {};
  }
  return reader.refuse(
      Code::kCorrupt,
      fmt::format("key '{}' is {} of {} layers: convert the model again",
                  reader.key("nextn_predict_layers"), config.n_further_layers, config.n_layers));
}

Result<> read_sizes(const ConfigReader& reader, ModelConfig& config) {
  HEARTH_TRY_VOID(read_layer_count(reader, config));
  HEARTH_TRY(config.d_model, reader.count("embedding_length", kWidthMax));
  HEARTH_TRY(config.n_heads, reader.count("attention.head_count", kHeadsMax));
  HEARTH_TRY(config.n_context_train, reader.count("context_length", 1U << 30));
  HEARTH_TRY(config.norm_eps, reader.positive("attention.layer_norm_rms_epsilon", 1e-5F));
  return {};
}

struct RopeKind {
  std::string_view name;  // GGUF `ARCH.rope.scaling.type`.
  RopeScaling::Kind kind;
};
constexpr auto kRopeKinds = std::to_array<RopeKind>({
    {"none", RopeScaling::Kind::kNone},
    {"linear", RopeScaling::Kind::kLinear},
    {"yarn", RopeScaling::Kind::kYarn},
    {"longrope", RopeScaling::Kind::kLongFactors},
    {"su", RopeScaling::Kind::kLongFactors},  // What longrope was called first.
});

Result<RopeScaling::Kind> read_rope_kind(const ConfigReader& reader) {
  HEARTH_TRY(const std::string_view name,
             reader.file().get_string(reader.key("rope.scaling.type"), "none"));
  const auto row = std::ranges::find(kRopeKinds, name, &RopeKind::name);
  if (row != kRopeKinds.end()) return row->kind;
  return reader.refuse(
      Code::kUnsupported,
      fmt::format("rope scaling '{}' is not run by this build (none, linear, yarn and longrope "
                  "are): run the model in llama-server and add it as an upstream",
                  name.substr(0, 64)));
}

Result<> read_rope_scaling(const ConfigReader& reader, ModelConfig& config) {
  RopeScaling& rope = config.rope;
  HEARTH_TRY(rope.theta, reader.positive("rope.freq_base", 10000.0F));
  HEARTH_TRY(rope.kind, read_rope_kind(reader));
  HEARTH_TRY(rope.n_context_first, reader.count("rope.scaling.original_context_length", 1U << 30,
                                                config.n_context_train));
  HEARTH_TRY(rope.attention_factor, reader.positive("rope.scaling.attn_factor", 1.0F));
  HEARTH_TRY(rope.beta_fast, reader.positive("rope.scaling.yarn_beta_fast", 32.0F));
  HEARTH_TRY(rope.beta_slow, reader.positive("rope.scaling.yarn_beta_slow", 1.0F));
  HEARTH_TRY(rope.log_multiplier, reader.not_negative("rope.scaling.yarn_log_multiplier"));
  if (rope.kind != RopeScaling::Kind::kNone) {
    HEARTH_TRY(rope.factor, reader.positive("rope.scaling.factor", 1.0F));
  }
  return {};
}

// How many elements of a head of `head_dim` are turned.
Result<std::uint32_t> read_rope_dim(const ConfigReader& reader, std::string_view suffix,
                                    std::uint32_t head_dim, std::uint32_t fallback) {
  HEARTH_TRY(const std::uint32_t dim, reader.count(suffix, kWidthMax, fallback));
  if (dim <= head_dim && dim % 2 == 0) return dim;
  return reader.refuse(Code::kCorrupt,
                       fmt::format("key '{}' is {}, an even number up to the head's {} elements "
                                   "is needed: convert the model again",
                                   reader.key(suffix), dim, head_dim));
}

Result<> read_rope(const ConfigReader& reader, const Architecture& architecture,
                   ModelConfig& config) {
  const bool has_own = architecture.sliding_rope_theta > 0;
  std::uint32_t full = config.head_dim;
  std::uint32_t sliding = config.head_dim;
  for (const LayerPlan& plan : config.layers) {
    std::uint32_t& narrowest = has_own && plan.window > 0 ? sliding : full;
    narrowest = std::min(narrowest, plan.head_dim);
  }
  HEARTH_TRY(config.rope_dim, read_rope_dim(reader, "rope.dimension_count", full, full));
  HEARTH_TRY(config.sliding_rope_dim, read_rope_dim(reader, "rope.dimension_count_swa", sliding,
                                                    std::min(config.rope_dim, sliding)));
  return read_rope_scaling(reader, config);
}

// Which feed-forward block every token takes beside the experts.
Result<> read_shared_expert(const ConfigReader& reader, const Architecture& architecture,
                            ModelConfig& config) {
  if (architecture.shared_expert == SharedExpert::kDenseBlock) return {};
  constexpr std::string_view kKey = "expert_shared_feed_forward_length";
  std::uint32_t length = 0;
  if (architecture.shared_expert == SharedExpert::kGated) {
    HEARTH_TRY(length, reader.count(kKey, kWidthMax, config.d_ff));
  } else if (architecture.shared_expert == SharedExpert::kOptional) {
    HEARTH_TRY(length, reader.file().get_u32(reader.key(kKey), 0U));
    if (length > kWidthMax) HEARTH_TRY_VOID(reader.count(kKey, kWidthMax));
  }
  for (LayerPlan& plan : config.layers) {
    if (plan.has_experts) plan.d_ff = length;
  }
  return {};
}

// How the chosen experts of a router that scores by sigmoids are weighed.
Result<> read_routing(const ConfigReader& reader, ModelConfig& config) {
  HEARTH_TRY(config.norms_expert_weights,
             reader.file().get_bool(reader.key("expert_weights_norm"), true));
  HEARTH_TRY(config.expert_scale, reader.positive("expert_weights_scale", 1.0F));
  HEARTH_TRY(const std::uint32_t n_groups,
             reader.file().get_u32(reader.key("expert_group_count"), 1U));
  HEARTH_TRY(const std::uint32_t latent, reader.file().get_u32(reader.key("moe_latent_size"), 0U));
  if (n_groups <= 1 && latent == 0) return {};
  return reader.refuse(Code::kUnsupported,
                       fmt::format("experts in {} groups that see {} latent numbers are not run: "
                                   "run the model in llama-server and add it as an upstream",
                                   n_groups, latent));
}

// Features that change the result and that the architecture's row does not have are refused.
Result<> read_experts(const ConfigReader& reader, const Architecture& architecture,
                      ModelConfig& config) {
  HEARTH_TRY(config.n_experts, reader.file().get_u32(reader.key("expert_count"), 0U));
  if (config.n_experts == 0 && architecture.experts != Presence::kRequired) return {};
  if (architecture.experts == Presence::kNever) {
    return reader.refuse(Code::kUnsupported,
                         fmt::format("a mixture of {} experts is not run for '{}' by this build: "
                                     "run the model in llama-server and add it as an upstream",
                                     config.n_experts, architecture.name));
  }
  HEARTH_TRY(config.n_experts, reader.count("expert_count", kExpertsMax));
  HEARTH_TRY(config.n_experts_used, reader.count("expert_used_count", config.n_experts));
  HEARTH_TRY(config.d_ff_expert,
             reader.count("expert_feed_forward_length", kWidthMax, config.d_ff));
  HEARTH_TRY(const std::uint32_t n_dense,
             reader.file().get_u32(reader.key("leading_dense_block_count"), 0U));
  for (std::uint32_t i = n_dense; i < config.n_layers; ++i) {
    LayerPlan& plan = config.layers[i];
    plan.has_experts = !architecture.is_one_block_each || plan.kind == LayerKind::kNothing;
  }
  HEARTH_TRY_VOID(read_shared_expert(reader, architecture, config));
  return architecture.routing == Routing::kSigmoid ? read_routing(reader, config) : Result<>{};
}

Result<> read_multipliers(const ConfigReader& reader, ModelConfig& config) {
  HEARTH_TRY(config.embedding_scale, reader.positive("embedding_scale", 1.0F));
  HEARTH_TRY(config.residual_scale, reader.positive("residual_scale", 1.0F));
  HEARTH_TRY(config.query_scale, reader.positive("attention.scale", config.query_scale));
  HEARTH_TRY(const float divisor, reader.positive("logit_scale", 1.0F));
  config.logit_scale = 1.0F / divisor;
  return {};
}

Result<> read_scales(const ConfigReader& reader, const Architecture& architecture,
                     ModelConfig& config) {
  if (architecture.scales_embedding) {
    config.embedding_scale = std::sqrt(static_cast<float>(config.d_model));
  }
  const bool is_wide = config.n_layers == architecture.wide_query_layers;
  const std::uint32_t share = is_wide ? config.d_model / config.n_heads : config.head_dim;
  config.query_scale = 1.0F / std::sqrt(static_cast<float>(share));
  if (architecture.query_scale > 0) config.query_scale = architecture.query_scale;
  if (architecture.has_multipliers) HEARTH_TRY_VOID(read_multipliers(reader, config));
  HEARTH_TRY(config.attention_growth, reader.not_negative("attention.temperature_scale"));
  config.qk_norm_is_of_rows = architecture.qk_norm_is_of_rows;
  config.gates_attention = architecture.gates_attention;
  HEARTH_TRY(config.attention_softcap, reader.not_negative("attn_logit_softcapping"));
  HEARTH_TRY(config.logit_softcap, reader.not_negative("final_logit_softcapping"));
  return {};
}

// What turns each layer's heads.
Result<> plan_ropes(const ConfigReader& reader, const Architecture& architecture,
                    ModelConfig& config) {
  const auto slides = [](const LayerPlan& plan) { return plan.window > 0; };
  const bool any_slides = std::ranges::any_of(config.layers, slides);
  float own_theta = architecture.sliding_rope_theta;
  if (any_slides && architecture.sliding_rope_is_plain) own_theta = config.rope.theta;
  const bool has_own_theta = own_theta > 0;
  if (has_own_theta) {
    HEARTH_TRY(config.sliding_rope_theta, reader.positive("rope.freq_base_swa", own_theta));
  }
  bool turns = true;
  if (architecture.rope_is_switched) {
    HEARTH_TRY(turns, reader.file().get_bool(reader.key("rope.scaling.finetuned"), true));
  }
  for (std::uint32_t i = 0; i < config.n_layers; ++i) {
    LayerPlan& plan = config.layers[i];
    if (slides(plan) && has_own_theta) plan.rope = RopeTable::kSliding;
    const std::uint32_t step = architecture.no_rope_period;
    if (!turns || (step > 0 && i % step + 1 == step)) plan.rope = RopeTable::kNone;
  }
  return {};
}

Result<> read_per_layer_inputs(const ConfigReader& reader, const Architecture& architecture,
                               ModelConfig& config) {
  if (architecture.per_layer_inputs == Presence::kNever) return {};
  constexpr std::string_view kKey = "embedding_length_per_layer_input";
  HEARTH_TRY(config.d_per_layer, reader.file().get_u32(reader.key(kKey), 0U));
  if (config.d_per_layer > kPerLayerMax) HEARTH_TRY_VOID(reader.count(kKey, kPerLayerMax));
  return {};
}

}  // namespace

Result<const Architecture*> architecture_of(const gguf::GgufFile& file) {
  HEARTH_TRY(const std::string_view name, file.get_string("general.architecture"));
  if (const Architecture* const row = find_architecture(name)) return row;
  if (is_encoder_architecture(name)) {
    return fail(Code::kUnsupported,
                fmt::format("'{}' is an encoder: it embeds texts (/v1/embeddings) and can't chat; "
                            "name another model",
                            file.name()));
  }
  return fail(Code::kUnsupported,
              fmt::format("'{}' has the architecture '{}', this build runs {}: run it in a server "
                          "that knows it (llama-server, Ollama, vLLM) and add that as an upstream",
                          file.name(), name.substr(0, 64), supported_architectures()));
}

Result<ModelConfig> read_config(const gguf::GgufFile& file, const Architecture& architecture) {
  const ConfigReader reader(file, architecture.name);
  ModelConfig config;
  config.architecture = architecture.name;
  const std::string stem = std::filesystem::path(file.name()).stem().string();
  HEARTH_TRY(const std::string_view name, file.get_string("general.name", stem));
  config.name = name;
  HEARTH_TRY_VOID(read_sizes(reader, config));
  HEARTH_TRY_VOID(read_layers(reader, architecture, config));
  HEARTH_TRY_VOID(read_experts(reader, architecture, config));
  HEARTH_TRY_VOID(read_per_layer_inputs(reader, architecture, config));
  HEARTH_TRY_VOID(read_convolutions(reader, architecture, config));
  HEARTH_TRY_VOID(read_delta_nets(reader, architecture, config));
  HEARTH_TRY_VOID(read_mamba(reader, architecture, config));
  HEARTH_TRY_VOID(read_rope(reader, architecture, config));
  HEARTH_TRY_VOID(read_scales(reader, architecture, config));
  HEARTH_TRY_VOID(plan_ropes(reader, architecture, config));
  return config;
}

}  // namespace hearth::model

#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "model/encoder.h"

namespace hearth::model {
namespace {

// Reads keys `ARCH.suffix` of one file.
class ConfigReader {
 public:
  ConfigReader(const gguf::GgufFile& file, std::string_view prefix)
      : file_(file), prefix_(prefix) {}

  std::string key(std::string_view suffix) const { return fmt::format("{}.{}", prefix_, suffix); }

  std::unexpected<Error> refuse(Code code, std::string_view what) const {
    return fail(code, fmt::format("'{}': {}", file_.name(), what));
  }

  // A count from 1 to `max`.
  Result<std::uint32_t> count(std::string_view suffix, std::uint32_t max,
                              std::optional<std::uint32_t> fallback = {}) const {
    HEARTH_TRY(const std::uint32_t value, scalar_or_uniform(suffix, fallback));
    if (value >= 1 && value <= max) return value;
    return refuse(Code::kCorrupt,
                  fmt::format("key '{}' is {}, 1 to {} allowed: convert the model again",
                              key(suffix), value, max));
  }

  // Some files give a value per layer; only equal ones are read.
  Result<std::uint32_t> scalar_or_uniform(std::string_view suffix,
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
    if (!first)
      return refuse(Code::kCorrupt, fmt::format("key '{}' is an empty list", key(suffix)));
    return static_cast<std::uint32_t>(*first);
  }

  Result<float> positive(std::string_view suffix, std::optional<float> fallback) const {
    HEARTH_TRY(const float value, file_.get_f32(key(suffix), fallback));
    if (value > 0) return value;
    return refuse(Code::kCorrupt, fmt::format("key '{}' is {}, a number above 0 is needed: convert "
                                              "the model again",
                                              key(suffix), value));
  }

  // 0 where the file says nothing.
  Result<float> not_negative(std::string_view suffix) const {
    HEARTH_TRY(const float value, file_.get_f32(key(suffix), 0.0F));
    if (value >= 0 && std::isfinite(value)) return value;
    return refuse(Code::kCorrupt, fmt::format("key '{}' is {}, 0 or more is needed: convert the "
                                              "model again",
                                              key(suffix), value));
  }

  const gguf::GgufFile& file() const { return file_; }

 private:
  const gguf::GgufFile& file_;
  std::string prefix_;
};

// One number for all layers, or a list in which 0 says that the layer is a convolution.
Result<> read_kv_heads(const ConfigReader& reader, const Architecture& architecture,
                       ModelConfig& config) {
  constexpr std::string_view kKey = "attention.head_count_kv";
  config.layers.resize(config.n_layers);
  const gguf::Value* const listed = reader.file().find(reader.key(kKey));
  if (!architecture.has_convolutions || listed == nullptr || !listed->is_array()) {
    HEARTH_TRY(config.n_kv_heads, reader.count(kKey, kHeadsMax, config.n_heads));
    return {};
  }
  for (std::size_t i = 0; i < config.n_layers; ++i) {
    const std::uint64_t n = listed->u64_at(i).value_or(kHeadsMax + 1);
    if (n == 0) {
      config.layers[i].kind = LayerKind::kConvolution;
      continue;
    }
    if (n <= kHeadsMax && (config.n_kv_heads == 0 || config.n_kv_heads == n)) {
      config.n_kv_heads = static_cast<std::uint32_t>(n);
      continue;
    }
    return reader.refuse(
        Code::kUnsupported,
        fmt::format("key '{}': one number of 1 to {} and 0 are run, for each layer: "
                    "run the model in llama-server and add it as an upstream",
                    reader.key(kKey), kHeadsMax));
  }
  if (config.n_kv_heads > 0) return {};
  return reader.refuse(Code::kUnsupported,
                       fmt::format("key '{}' gives no layer attention", reader.key(kKey)));
}

Result<> read_convolutions(const ConfigReader& reader, const Architecture& architecture,
                           ModelConfig& config) {
  if (!architecture.has_convolutions) return {};
  HEARTH_TRY(config.conv_width, reader.count("shortconv.l_cache", kPageTokens));
  return {};
}

// Which layers are delta nets, and their sizes.
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
  if (width != delta.value_width() || delta.n_value_heads % delta.n_key_heads != 0 ||
      delta.state_size % kHeadDimMultiple != 0) {
    return reader.refuse(
        Code::kUnsupported,
        fmt::format("delta nets with {} value heads of {} in {}, which share {} key heads, are not "
                    "run: run the model in llama-server and add it as an upstream",
                    delta.n_value_heads, delta.state_size, width, delta.n_key_heads));
  }
  HEARTH_TRY(const std::uint32_t interval, reader.count("full_attention_interval", kLayersMax, 4));
  for (std::uint32_t i = 0; i < config.n_layers; ++i) {
    if ((i + 1) % interval != 0) config.layers[i].kind = LayerKind::kDeltaNet;
  }
  if (interval > config.n_layers) {
    return reader.refuse(
        Code::kUnsupported,
        fmt::format("key '{}' is {}, which leaves none of {} layers attention",
                    reader.key("full_attention_interval"), interval, config.n_layers));
  }
  return {};
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

Result<> read_sizes(const ConfigReader& reader, const Architecture& architecture,
                    ModelConfig& config) {
  HEARTH_TRY_VOID(read_layer_count(reader, config));
  HEARTH_TRY(config.d_model, reader.count("embedding_length", kWidthMax));
  HEARTH_TRY(config.d_ff, reader.count("feed_forward_length", kWidthMax));
  HEARTH_TRY(config.n_heads, reader.count("attention.head_count", kHeadsMax));
  HEARTH_TRY_VOID(read_kv_heads(reader, architecture, config));
  HEARTH_TRY(config.n_context_train, reader.count("context_length", 1U << 30));
  HEARTH_TRY(config.norm_eps, reader.positive("attention.layer_norm_rms_epsilon", 1e-5F));
  if (config.n_heads % config.n_kv_heads == 0) return {};
  return reader.refuse(Code::kCorrupt,
                       fmt::format("{} heads cannot share {} key-value heads evenly: convert the "
                                   "model again",
                                   config.n_heads, config.n_kv_heads));
}

Result<> read_head_dim(const ConfigReader& reader, ModelConfig& config) {
  const std::uint32_t even_share = config.d_model / config.n_heads;
  const std::optional<std::uint32_t> fallback =
      even_share > 0 ? std::optional(even_share) : std::nullopt;
  HEARTH_TRY(config.head_dim, reader.count("attention.key_length", kWidthMax, fallback));
  HEARTH_TRY(const std::uint32_t value_dim,
             reader.count("attention.value_length", kWidthMax, config.head_dim));
  if (value_dim != config.head_dim) {
    return reader.refuse(Code::kUnsupported,
                         fmt::format("keys have {} elements and values {}; this build runs models "
                                     "where they are equal",
                                     config.head_dim, value_dim));
  }
  if (config.head_dim <= kHeadDimMax && config.head_dim % kHeadDimMultiple == 0) return {};
  return reader.refuse(Code::kUnsupported,
                       fmt::format("heads have {} elements, multiples of {} up to {} are run: run "
                                   "the model in llama-server and add it as an upstream",
                                   config.head_dim, kHeadDimMultiple, kHeadDimMax));
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

Result<> read_rope(const ConfigReader& reader, ModelConfig& config) {
  HEARTH_TRY(config.rope_dim, reader.count("rope.dimension_count", kWidthMax, config.head_dim));
  if (config.rope_dim > config.head_dim || config.rope_dim % 2 != 0) {
    return reader.refuse(
        Code::kCorrupt,
        fmt::format("key '{}' is {}, an even number up to the head's {} elements "
                    "is needed: convert the model again",
                    reader.key("rope.dimension_count"), config.rope_dim, config.head_dim));
  }
  return read_rope_scaling(reader, config);
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
  return {};
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
  if (architecture.has_multipliers) HEARTH_TRY_VOID(read_multipliers(reader, config));
  HEARTH_TRY(config.attention_growth, reader.not_negative("attention.temperature_scale"));
  config.qk_norm_is_of_rows = architecture.qk_norm_is_of_rows;
  config.gates_attention = architecture.gates_attention;
  HEARTH_TRY(config.attention_softcap, reader.not_negative("attn_logit_softcapping"));
  HEARTH_TRY(config.logit_softcap, reader.not_negative("final_logit_softcapping"));
  return {};
}

// Whether each layer looks back over the file's window only: as the file lists it, or all but the
// last of each period.
Result<std::vector<bool>> read_sliding(const ConfigReader& reader, std::uint32_t n_layers,
                                       std::uint32_t period) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  std::vector<bool> slides(n_layers);
  const gguf::Value* const listed = reader.file().find(reader.key(kPattern));
  if (listed == nullptr || !listed->is_array()) {
    HEARTH_TRY(period, reader.count(kPattern, kLayersMax, period));
    for (std::uint32_t i = 0; i < n_layers; ++i) slides[i] = period == 1 || (i + 1) % period != 0;
    return slides;
  }
  if (listed->count() != n_layers) {
    return reader.refuse(Code::kCorrupt,
                         fmt::format("key '{}' lists {} layers of {}: convert the model again",
                                     reader.key(kPattern), listed->count(), n_layers));
  }
  const bool is_bools = listed->element_type() == gguf::ValueType::kBool;
  for (std::uint32_t i = 0; i < n_layers; ++i) {
    slides[i] =
        is_bools ? listed->payload()[i] != std::byte{0} : listed->u64_at(i).value_or(0) != 0;
  }
  return slides;
}

// Which layers look back over a window only, and what turns their heads.
Result<> plan_layers(const ConfigReader& reader, const Architecture& architecture,
                     ModelConfig& config) {
  std::uint32_t window = 0;
  std::vector<bool> sliding(config.n_layers);
  if (architecture.sliding_period > 0) {
    HEARTH_TRY(window, reader.file().get_u32(reader.key("attention.sliding_window"), 0U));
  }
  if (window > 0) {
    HEARTH_TRY(sliding, read_sliding(reader, config.n_layers, architecture.sliding_period));
  }
  float own_theta = architecture.sliding_rope_theta;
  if (window > 0 && architecture.sliding_rope_is_plain) own_theta = config.rope.theta;
  const bool has_own_theta = own_theta > 0;
  if (has_own_theta) {
    HEARTH_TRY(config.sliding_rope_theta, reader.positive("rope.freq_base_swa", own_theta));
  }
  std::array<std::uint32_t, 3> n_of_kind = {};
  for (std::uint32_t i = 0; i < config.n_layers; ++i) {
    LayerPlan& plan = config.layers[i];
    plan.kv_index = n_of_kind[static_cast<std::size_t>(plan.kind)]++;
    plan.window = sliding[i] ? window : 0;
    if (sliding[i] && has_own_theta) plan.rope = RopeTable::kSliding;
    const std::uint32_t step = architecture.no_rope_period;
    if (step > 0 && i % step + 1 == step) plan.rope = RopeTable::kNone;
  }
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
  HEARTH_TRY_VOID(read_sizes(reader, architecture, config));
  HEARTH_TRY_VOID(read_experts(reader, architecture, config));
  HEARTH_TRY_VOID(read_head_dim(reader, config));
  HEARTH_TRY_VOID(read_convolutions(reader, architecture, config));
  HEARTH_TRY_VOID(read_delta_nets(reader, architecture, config));
  HEARTH_TRY_VOID(read_rope(reader, config));
  HEARTH_TRY_VOID(read_scales(reader, architecture, config));
  HEARTH_TRY_VOID(plan_layers(reader, architecture, config));
  return config;
}

}  // namespace hearth::model

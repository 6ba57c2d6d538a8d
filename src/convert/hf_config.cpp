#include "convert/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "convert/hf_layers.h"

namespace hearth::convert {

std::unexpected<Error> refuse(const HfConfig& config, Code code, std::string_view what) {
  return fail(code, fmt::format("'{}': {}", config.path, what));
}

std::unexpected<Error> unsupported(const HfConfig& config, std::string_view what) {
  return refuse(
      config, Code::kUnsupported,
      fmt::format("{}, which this build does not convert: look for the model as GGUF", what));
}

Result<std::uint32_t> count(const HfConfig& config, std::string_view key, std::uint32_t max,
                            std::optional<std::uint32_t> fallback) {
  const auto number = config.number(key);
  if (!number && fallback) return *fallback;
  if (number && *number >= 1 && *number <= max && *number == std::floor(*number)) {
    return static_cast<std::uint32_t>(*number);
  }
  return refuse(config, Code::kCorrupt,
                number ? fmt::format("'{}' is {}, an integer from 1 to {} is needed: get the file "
                                     "from its source again",
                                     key, *number, max)
                       : fmt::format("'{}' is missing: get the file from its source again", key));
}

std::string key_of(const HfConfig& config, std::string_view suffix) {
  return fmt::format("{}.{}", config.family->architecture, suffix);
}

namespace {

constexpr std::size_t kConfigBytesMax = std::size_t{4} << 20;

// ---- What would be computed otherwise ----

Result<> check_activation(const HfConfig& config) {
  for (const std::string_view key : {"hidden_act", "hidden_activation"}) {
    const auto name = as_text(config.find(key));
    // Gemma's first files say "gelu" and mean the same.
    if (!name || *name == config.family->activation) continue;
    if (*name == "gelu" && config.family->activation.starts_with("gelu")) continue;
    return unsupported(config, fmt::format("the activation is '{}' instead of '{}'",
                                           name->substr(0, 40), config.family->activation));
  }
  return {};
}

// SmolLM3 lists, per layer, whether it rotates; GGUF readers know the period alone.
Result<> check_rotated_layers(const HfConfig& config) {
  const std::uint32_t period = config.family->no_rope_period;
  if (period == 0) return {};
  const auto& flags = elements(config.find("no_rope_layers"));
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const bool rotates = as_count(&flags[i]).value_or(1) != 0;
    if (rotates == ((i + 1) % period != 0)) continue;
    return unsupported(config, fmt::format("layer {} breaks the rule that every {}th layer has no "
                                           "rotary embedding",
                                           i, period));
  }
  return {};
}

Result<> check_sliding(const HfConfig& config) {
  if (as_bool(config.find("use_sliding_window")).value_or(false)) {
    return unsupported(config, "'use_sliding_window' is set");
  }
  const std::uint32_t period = config.family->sliding_period;
  const auto& kinds = elements(config.find("layer_types"));
  for (std::size_t i = 0; period > 0 && i < kinds.size(); ++i) {
    const bool slides = as_text(&kinds[i]) == "sliding_attention";
    if (slides == ((i + 1) % period != 0)) continue;
    return unsupported(config, fmt::format("layer {} breaks the rule that all but every {}th layer "
                                           "slide",
                                           i, period));
  }
  const auto said = config.number("sliding_window_pattern");
  if (period == 0 || !said || *said == period) return {};
  return unsupported(config,
                     fmt::format("'sliding_window_pattern' is {} instead of {}", *said, period));
}

Result<> check_experts(const HfConfig& config) {
  if (config.n_experts == 0 || as_bool(config.find("norm_topk_prob")).value_or(true)) return {};
  return unsupported(config, "'norm_topk_prob' is false");
}

// ---- Numbers that go over as they are ----

enum class Kind : std::uint8_t { kCount, kFloat };

struct KeyRow {
  std::string_view hf, gguf;
  Kind kind = Kind::kCount;
  bool required = true;
};
constexpr KeyRow kKeys[] = {
    {"num_hidden_layers", "block_count"},
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_attention_heads", "attention.head_count"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", Kind::kFloat},
    {"vocab_size", "vocab_size"},
    {"attn_logit_softcapping", "attn_logit_softcapping", Kind::kFloat, false},
    {"final_logit_softcapping", "final_logit_softcapping", Kind::kFloat, false},
    {"num_experts", "expert_count", Kind::kCount, false},
    {"num_experts_per_tok", "expert_used_count", Kind::kCount, false},
    {"moe_intermediate_size", "expert_feed_forward_length", Kind::kCount, false},
    {"embedding_multiplier", "embedding_scale", Kind::kFloat, false},
    {"residual_multiplier", "residual_scale", Kind::kFloat, false},
    {"attention_multiplier", "attention.scale", Kind::kFloat, false},
    {"logits_scaling", "logit_scale", Kind::kFloat, false},
};

// That write_layer_kinds writes.
bool is_own(const HfConfig& config, std::string_view key) {
  return config.family->names == HfNames::kLfm2 &&
         (key == "rms_norm_eps" || key == "intermediate_size");
}

Result<> write_numbers(const HfConfig& config, gguf::GgufWriter& out) {
  for (const KeyRow& row : kKeys) {
    const auto number = config.number(row.hf);
    if ((!number && !row.required) || is_own(config, row.hf)) continue;
    if (row.kind == Kind::kFloat && number) {
      out.set_f32(key_of(config, row.gguf), static_cast<float>(*number));
      continue;
    }
    HEARTH_TRY(const std::uint32_t value, count(config, row.hf, 1U << 30));
    out.set_u32(key_of(config, row.gguf), value);
  }
  return {};
}

// Where the architecture has no sliding layers in GGUF, a window is one that all layers have: up to
// its length they attend to everything, and so far the model goes.
Result<> write_context(const HfConfig& config, gguf::GgufWriter& out) {
  HEARTH_TRY(std::uint32_t context, count(config, "max_position_embeddings", 1U << 30));
  const auto window = config.number("sliding_window");
  if (window && *window >= 1 && *window < (1U << 30)) {
    const auto n = static_cast<std::uint32_t>(*window);
    if (config.family->slides) out.set_u32(key_of(config, "attention.sliding_window"), n);
    const bool unused = config.find("use_sliding_window") != nullptr;  // Checked to be false.
    if (!config.family->slides && !unused) context = std::min(context, n);
  }
  out.set_u32(key_of(config, "context_length"), context);
  return {};
}

// ---- Rotary embedding ----

class RopeWriter {
 public:
  RopeWriter(const HfConfig& config, gguf::GgufWriter& out) : config_(config), out_(out) {
    scaling_ = config.find("rope_parameters");
    if (scaling_ == nullptr) scaling_ = config.find("rope_scaling");
    sliding_ = member(scaling_, "sliding_attention");
    if (const Json* const full = member(scaling_, "full_attention")) scaling_ = full;
  }

  Result<std::vector<RopeTensor>> run() {
    const double share = value("partial_rotary_factor").value_or(1.0);
    if (share > 0 && share <= 1) dim_ = static_cast<std::uint32_t>(share * config_.head_dim);
    if (dim_ < 2) {
      return refuse(config_, Code::kCorrupt, "'partial_rotary_factor' is out of range");
    }
    theta_ = value("rope_theta").value_or(10000.0);
    out_.set_u32(key_of(config_, "rope.dimension_count"), dim_);
    out_.set_f32(key_of(config_, "rope.freq_base"), static_cast<float>(theta_));
    auto sliding_theta = as_number(member(sliding_, "rope_theta"));
    if (!sliding_theta) sliding_theta = config_.number("rope_local_base_freq");
    if (sliding_theta) {
      out_.set_f32(key_of(config_, "rope.freq_base_swa"), static_cast<float>(*sliding_theta));
    }
    return write_scaling();
  }

 private:
  struct Row {
    std::string_view type;
    Result<std::vector<RopeTensor>> (RopeWriter::*write)();
  };

  // Of the scaling's own object, else of the whole configuration.
  std::optional<double> value(std::string_view key) const {
    if (const auto own = as_number(member(scaling_, key))) return own;
    return config_.number(key);
  }

  Result<double> positive(std::string_view key, std::optional<double> fallback = {}) const {
    auto number = value(key);
    if (!number) number = fallback;
    if (number && *number > 0) return *number;
    return refuse(config_, Code::kCorrupt,
                  fmt::format("the scaling of rotations needs '{}', a number above 0: get the file "
                              "from its source again",
                              key));
  }

  Result<std::vector<RopeTensor>> write_scaling();

  Result<std::vector<RopeTensor>> write_none() { return std::vector<RopeTensor>(); }

  Result<std::vector<RopeTensor>> write_linear() {
    HEARTH_TRY(const double factor, positive("factor"));
    out_.set_string(key_of(config_, "rope.scaling.type"), "linear");
    out_.set_f32(key_of(config_, "rope.scaling.factor"), static_cast<float>(factor));
    return std::vector<RopeTensor>();
  }

  Result<std::vector<RopeTensor>> write_yarn() {
    HEARTH_TRY(const double factor, positive("factor"));
    HEARTH_TRY(const double first, positive("original_max_position_embeddings",
                                            config_.number("max_position_embeddings")));
    out_.set_string(key_of(config_, "rope.scaling.type"), "yarn");
    out_.set_f32(key_of(config_, "rope.scaling.factor"), static_cast<float>(factor));
    out_.set_u32(key_of(config_, "rope.scaling.original_context_length"),
                 static_cast<std::uint32_t>(std::min(first, 1e9)));
    constexpr std::pair<std::string_view, std::string_view> kOptional[] = {
        {"extrapolation_factor", "rope.scaling.yarn_ext_factor"},
        {"attention_factor", "rope.scaling.yarn_attn_factor"},
        {"beta_fast", "rope.scaling.yarn_beta_fast"},
        {"beta_slow", "rope.scaling.yarn_beta_slow"},
        {"mscale_all_dim", "rope.scaling.yarn_log_multiplier"},
        {"llama_4_scaling_beta", "attention.temperature_scale"},
    };
    for (const auto& [hf, gguf] : kOptional) {
      if (const auto number = as_number(member(scaling_, hf))) {
        out_.set_f32(key_of(config_, gguf), static_cast<float>(*number));
      }
    }
    return std::vector<RopeTensor>();
  }

  // Llama 3 slows the low frequencies by `factor`, leaves the high ones, and goes from one to the
  // other in between; GGUF keeps the divisor of each.
  Result<std::vector<RopeTensor>> write_llama3() {
    HEARTH_TRY(const double factor, positive("factor", 8.0));
    HEARTH_TRY(const double low, positive("low_freq_factor", 1.0));
    HEARTH_TRY(const double high, positive("high_freq_factor", 4.0));
    HEARTH_TRY(const double first, positive("original_max_position_embeddings", 8192.0));
    std::vector<float> divisors;
    for (std::uint32_t i = 0; i < dim_; i += 2) {
      const double wavelength =
          2 * std::numbers::pi * std::pow(theta_, static_cast<double>(i) / dim_);
      double divisor = 1;
      if (wavelength > first / low) {
        divisor = factor;
      } else if (wavelength >= first / high) {
        const double smooth = (first / wavelength - low) / (high - low);
        divisor = 1 / ((1 - smooth) / factor + smooth);
      }
      divisors.push_back(static_cast<float>(divisor));
    }
    return std::vector<RopeTensor>{{"rope_freqs.weight", std::move(divisors)}};
  }

  // Two lists of divisors: for contexts up to the first one, and for longer.
  Result<std::vector<RopeTensor>> write_long() {
    HEARTH_TRY(const double first, positive("original_max_position_embeddings"));
    HEARTH_TRY(const double context, positive("max_position_embeddings"));
    const double scale = context / first;
    const double attention = scale > 1 ? std::sqrt(1 + std::log(scale) / std::log(first)) : 1.0;
    out_.set_string(key_of(config_, "rope.scaling.type"), "longrope");
    out_.set_u32(key_of(config_, "rope.scaling.original_context_length"),
                 static_cast<std::uint32_t>(std::min(first, 1e9)));
    out_.set_f32(key_of(config_, "rope.scaling.attn_factor"), static_cast<float>(attention));
    std::vector<RopeTensor> tensors;
    constexpr std::pair<std::string_view, std::string_view> kLists[] = {
        {"long_factor", "rope_factors_long.weight"}, {"short_factor", "rope_factors_short.weight"}};
    for (const auto& [hf, gguf] : kLists) {
      RopeTensor tensor{.name = std::string(gguf)};
      for (const Json& element : elements(member(scaling_, hf))) {
        tensor.values.push_back(static_cast<float>(as_number(&element).value_or(0)));
      }
      if (tensor.values.size() != dim_ / 2 || *std::ranges::min_element(tensor.values) <= 0) {
        return refuse(
            config_, Code::kCorrupt,
            fmt::format("'{}' needs {} numbers above 0: get the file from its source again", hf,
                        dim_ / 2));
      }
      tensors.push_back(std::move(tensor));
    }
    return tensors;
  }

  const HfConfig& config_;
  gguf::GgufWriter& out_;
  const Json* scaling_ = nullptr;
  const Json* sliding_ = nullptr;
  std::uint32_t dim_ = 0;
  double theta_ = 0;
};

Result<std::vector<RopeTensor>> RopeWriter::write_scaling() {
  constexpr Row kRows[] = {
      {"default", &RopeWriter::write_none},  {"none", &RopeWriter::write_none},
      {"linear", &RopeWriter::write_linear}, {"yarn", &RopeWriter::write_yarn},
      {"llama3", &RopeWriter::write_llama3}, {"longrope", &RopeWriter::write_long},
      {"su", &RopeWriter::write_long},
  };
  auto type = as_text(member(scaling_, "rope_type"));
  if (!type) type = as_text(member(scaling_, "type"));
  const std::string name = type.value_or("default");
  for (const Row& row : kRows) {
    if (row.type == name) return (this->*row.write)();
  }
  return unsupported(config_, fmt::format("rotations are scaled by '{}'", name.substr(0, 40)));
}

Result<> find_family_of(HfConfig& config) {
  std::string first;
  for (const Json& entry : elements(member(config.root, "architectures"))) {
    const std::string name = as_text(&entry).value_or("");
    if (first.empty()) first = name;
    config.family = find_family(name);
    if (config.family != nullptr) return {};
  }
  return refuse(
      config, Code::kUnsupported,
      fmt::format("the architecture is '{}', this build converts {}: look for the model as "
                  "GGUF",
                  first.empty() ? "not named" : first.substr(0, 64), known_families()));
}

}  // namespace

const Json* HfConfig::find(std::string_view key) const {
  if (const Json* const found = member(member(root, "text_config"), key)) return found;
  return member(root, key);
}

std::optional<double> HfConfig::number(std::string_view key) const {
  if (const auto said = as_number(find(key))) return said;
  // A null in the file says "none", which is no default.
  const Json* const object =
      member(root, "text_config") != nullptr ? member(root, "text_config") : &root;
  if (object->is_object() && object->contains(key)) return std::nullopt;
  const auto row = std::ranges::find(family->defaults, key, &ConfigDefault::key);
  if (row == family->defaults.end()) return std::nullopt;
  return row->value;
}

Result<HfConfig> read_hf_config(const std::filesystem::path& folder) {
  std::string path = (folder / "config.json").string();
  HEARTH_TRY(Json root, read_json(path, kConfigBytesMax));
  return check_hf_config(std::move(root), std::move(path));
}

Result<HfConfig> check_hf_config(Json root, std::string path) {
  HfConfig config{.path = std::move(path), .root = std::move(root)};
  HEARTH_TRY_VOID(find_family_of(config));
  if (config.find("quantization_config") != nullptr) {
    return unsupported(config, "the weights are quantised already");
  }
  HEARTH_TRY(config.n_layers, count(config, "num_hidden_layers", kHfLayersMax));
  HEARTH_TRY(config.n_heads, count(config, "num_attention_heads", kHfHeadsMax));
  HEARTH_TRY(config.n_kv_heads, count(config, "num_key_value_heads", kHfHeadsMax, config.n_heads));
  HEARTH_TRY(const std::uint32_t width, count(config, "hidden_size", 1U << 20));
  const std::uint32_t share = std::max(1U, width / config.n_heads);
  HEARTH_TRY(config.head_dim, count(config, "head_dim", 1U << 16, share));
  HEARTH_TRY(config.n_experts, count(config, "num_experts", 1U << 16, 0U));
  config.ties_output =
      config.family->ties_output || as_bool(config.find("tie_word_embeddings")).value_or(false);
  HEARTH_TRY_VOID(read_layer_kinds(config));
  HEARTH_TRY_VOID(check_activation(config));
  HEARTH_TRY_VOID(check_rotated_layers(config));
  HEARTH_TRY_VOID(check_sliding(config));
  HEARTH_TRY_VOID(check_experts(config));
  return config;
}

Result<std::vector<RopeTensor>> write_hf_config(const HfConfig& config, gguf::GgufWriter& out) {
  out.set_string("general.architecture", config.family->architecture);
  out.set_string("general.type", "model");
  HEARTH_TRY_VOID(write_numbers(config, out));
  HEARTH_TRY_VOID(write_context(config, out));
  HEARTH_TRY_VOID(write_layer_kinds(config, out));
  out.set_u32(key_of(config, "attention.key_length"), config.head_dim);
  out.set_u32(key_of(config, "attention.value_length"), config.head_dim);
  return RopeWriter(config, out).run();
}

}  // namespace hearth::convert

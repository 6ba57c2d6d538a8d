#include "convert/hf_layers.h"

#include <fmt/format.h>

#include <cmath>

namespace hearth::convert {
namespace {

// Which layers have attention, as they are listed or at intervals.
Result<> read_attention(HfConfig& config) {
  config.has_attention.assign(config.n_layers, true);
  if (config.family->names == HfNames::kUsual) return {};
  const auto& kinds = elements(config.find("layer_types"));
  const auto& listed = elements(config.find("full_attn_idxs"));
  if (kinds.empty() && config.family->names == HfNames::kLfm2) {
    config.has_attention.assign(config.n_layers, false);
    for (const Json& index : listed) {
      const auto at = as_count(&index);
      if (at && *at < config.n_layers) config.has_attention[*at] = true;
    }
    return {};
  }
  if (config.family->names == HfNames::kLfm2 && kinds.size() != config.n_layers) {
    return refuse(config, Code::kCorrupt, "'layer_types' does not list every layer");
  }
  std::uint32_t interval = 0;
  if (config.family->names == HfNames::kDeltaNets) {
    HEARTH_TRY(interval, count(config, "full_attention_interval", kHfLayersMax));
  }
  for (std::uint32_t i = 0; i < config.n_layers; ++i) {
    const bool by_rule = interval > 0 && (i + 1) % interval == 0;
    config.has_attention[i] =
        i < kinds.size() ? as_text(&kinds[i]) == "full_attention" : by_rule;
    if (interval == 0 || config.has_attention[i] == by_rule) continue;
    return unsupported(config, fmt::format("layer {} breaks the rule that every {}th layer has "
                                           "attention",
                                           i, interval));
  }
  return {};
}

Result<> read_delta_nets(HfConfig& config) {
  if (config.family->names != HfNames::kDeltaNets) return {};
  HEARTH_TRY(config.n_key_heads, count(config, "linear_num_key_heads", kHfHeadsMax));
  HEARTH_TRY(config.n_value_heads, count(config, "linear_num_value_heads", kHfHeadsMax));
  HEARTH_TRY(config.delta_size, count(config, "linear_key_head_dim", 1U << 12));
  HEARTH_TRY(const std::uint32_t value, count(config, "linear_value_head_dim", 1U << 12));
  if (value == config.delta_size && config.n_value_heads % config.n_key_heads == 0) return {};
  return unsupported(config, fmt::format("delta nets have {} value heads of {} for {} key heads of "
                                         "{}",
                                         config.n_value_heads, value, config.n_key_heads,
                                         config.delta_size));
}

// LFM2's own names for two numbers, of which one is not yet the length that layers have.
Result<> write_lfm2(const HfConfig& config, gguf::GgufWriter& out) {
  HEARTH_TRY(std::uint32_t length, count(config, "block_ff_dim", 1U << 30, 0U));
  if (length == 0) {
    HEARTH_TRY(length, count(config, "intermediate_size", 1U << 30));
  }
  if (as_bool(config.find("block_auto_adjust_ff_dim")).value_or(true)) {
    const double adjusted = std::floor(config.number("block_ffn_dim_multiplier").value_or(1.0) *
                                       std::floor(2.0 * length / 3.0));
    HEARTH_TRY(const std::uint32_t unit, count(config, "block_multiple_of", 1U << 20));
    const double padded = std::ceil(adjusted / unit) * unit;
    if (!(padded >= 1 && padded <= 1U << 30)) {
      return refuse(config, Code::kCorrupt, "'block_ffn_dim_multiplier' is out of range");
    }
    length = static_cast<std::uint32_t>(padded);
  }
  out.set_u32(key_of(config, "feed_forward_length"), length);
  out.set_f32(key_of(config, "attention.layer_norm_rms_epsilon"),
              static_cast<float>(config.number("norm_eps").value_or(1e-5)));
  HEARTH_TRY(const std::uint32_t width, count(config, "conv_L_cache", 1U << 10));
  out.set_u32(key_of(config, "shortconv.l_cache"), width);
  std::vector<std::int32_t> heads;
  for (const bool has_attention : config.has_attention) {
    heads.push_back(has_attention ? static_cast<std::int32_t>(config.n_kv_heads) : 0);
  }
  out.set_i32s(key_of(config, "attention.head_count_kv"), heads);
  return {};
}

Result<> write_delta_nets(const HfConfig& config, gguf::GgufWriter& out) {
  HEARTH_TRY(const std::uint32_t width, count(config, "linear_conv_kernel_dim", 1U << 10));
  HEARTH_TRY(const std::uint32_t interval,
             count(config, "full_attention_interval", kHfLayersMax));
  out.set_u32(key_of(config, "ssm.conv_kernel"), width);
  out.set_u32(key_of(config, "ssm.state_size"), config.delta_size);
  out.set_u32(key_of(config, "ssm.group_count"), config.n_key_heads);
  out.set_u32(key_of(config, "ssm.time_step_rank"), config.n_value_heads);
  out.set_u32(key_of(config, "ssm.inner_size"), config.n_value_heads * config.delta_size);
  out.set_u32(key_of(config, "full_attention_interval"), interval);
  // How other readers share rotations between time and place; text turns by time alone.
  std::vector<std::int32_t> sections;
  const Json* const rope = config.find("rope_parameters");
  for (const Json& section : elements(member(rope, "mrope_section"))) {
    sections.push_back(static_cast<std::int32_t>(as_count(&section).value_or(0)));
  }
  if (sections.size() != 3) sections = {11, 11, 10};
  sections.push_back(0);
  out.set_i32s(key_of(config, "rope.dimension_sections"), sections);
  return {};
}

}  // namespace

Result<> read_layer_kinds(HfConfig& config) {
  HEARTH_TRY_VOID(read_attention(config));
  return read_delta_nets(config);
}

Result<> write_layer_kinds(const HfConfig& config, gguf::GgufWriter& out) {
  if (config.family->names == HfNames::kLfm2) return write_lfm2(config, out);
  out.set_u32(key_of(config, "attention.head_count_kv"), config.n_kv_heads);
  if (config.family->names == HfNames::kDeltaNets) return write_delta_nets(config, out);
  return {};
}

}  // namespace hearth::convert

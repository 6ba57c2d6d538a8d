#include "convert/hf_encoder.h"

#include <fmt/format.h>

#include <cmath>

namespace hearth::convert {
namespace {

constexpr std::size_t kPoolingBytesMax = std::size_t{1} << 20;

struct CountRow {
  std::string_view hf, gguf;
  std::uint32_t max;
};
constexpr CountRow kCounts[] = {
    {"num_hidden_layers", "bert.block_count", kHfLayersMax},
    {"num_attention_heads", "bert.attention.head_count", kHfHeadsMax},
    {"hidden_size", "bert.embedding_length", 1U << 20},
    {"intermediate_size", "bert.feed_forward_length", 1U << 20},
    {"max_position_embeddings", "bert.context_length", 1U << 16},
    {"vocab_size", "bert.vocab_size", 1U << 22},
    {"type_vocab_size", "tokenizer.ggml.token_type_count", 1U << 10},
};

Result<> write_counts(const HfConfig& config, gguf::GgufWriter& out) {
  for (const CountRow& row : kCounts) {
    const double number = config.number(row.hf).value_or(0);
    if (number >= 1 && number <= row.max && number == std::floor(number)) {
      out.set_u32(row.gguf, static_cast<std::uint32_t>(number));
      continue;
    }
    return fail(Code::kCorrupt,
                fmt::format("'{}': '{}' must be an integer from 1 to {}: get the file from its "
                            "source again",
                            config.path, row.hf, row.max));
  }
  return {};
}

// What the tensors don't show and would be computed otherwise.
Result<> check_positions(const HfConfig& config) {
  const std::string kind = as_text(config.find("position_embedding_type")).value_or("absolute");
  const bool is_decoder = as_bool(config.find("is_decoder")).value_or(false);
  if (kind == "absolute" && !is_decoder) return {};
  return fail(Code::kUnsupported,
              fmt::format("'{}': positions are '{}' and 'is_decoder' is {}; absolute positions and "
                          "encoders are converted: look for the model as GGUF",
                          config.path, kind.substr(0, 40), is_decoder));
}

struct PoolingRow {
  std::string_view key;
  std::uint32_t gguf;
};
constexpr PoolingRow kPoolings[] = {
    {"pooling_mode_mean_tokens", 1},
    {"pooling_mode_cls_token", 2},
    {"pooling_mode_lasttoken", 3},
};

constexpr std::uint32_t kRankPooling = 4;

Result<std::uint32_t> read_pooling(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "1_Pooling" / "config.json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return kPoolings[0].gguf;
  HEARTH_TRY(const Json pooling, read_json(path.string(), kPoolingBytesMax));
  std::uint32_t chosen = 0, n_modes = 0;
  for (const auto& [key, value] : pooling.items()) {
    if (key.starts_with("pooling_mode_") && as_bool(&value).value_or(false)) ++n_modes;
  }
  for (const PoolingRow& row : kPoolings) {
    if (as_bool(member(pooling, row.key)).value_or(false)) chosen = row.gguf;
  }
  if (n_modes == 1 && chosen != 0) return chosen;
  return fail(Code::kUnsupported,
              fmt::format("'{}': it pools in a way that GGUF has no word for; the mean, the first "
                          "and the last token are converted",
                          path.string()));
}

}  // namespace

Result<> write_hf_encoder(const std::filesystem::path& folder, const HfConfig& config,
                          gguf::GgufWriter& out) {
  HEARTH_TRY_VOID(check_positions(config));
  out.set_string("general.architecture", config.family->architecture);
  out.set_string("general.type", "model");
  HEARTH_TRY_VOID(write_counts(config, out));
  const double eps = config.number("layer_norm_eps").value_or(1e-12);
  out.set_f32("bert.attention.layer_norm_epsilon", static_cast<float>(eps));
  out.set_bool("bert.attention.causal", false);
  std::uint32_t pooling = kRankPooling;
  if (!config.family->ranks) {
    HEARTH_TRY(pooling, read_pooling(folder));
  }
  out.set_u32("bert.pooling_type", pooling);
  return {};
}

}  // namespace hearth::convert

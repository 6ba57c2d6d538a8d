#include "model/config.h"

#include <fmt/format.h>

#include <filesystem>

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

  const gguf::GgufFile& file() const { return file_; }

 private:
  const gguf::GgufFile& file_;
  std::string prefix_;
};

Result<> read_sizes(const ConfigReader& reader, ModelConfig& config) {
  HEARTH_TRY(config.n_layers, reader.count("block_count", kLayersMax));
  HEARTH_TRY(config.d_model, reader.count("embedding_length", kWidthMax));
  HEARTH_TRY(config.d_ff, reader.count("feed_forward_length", kWidthMax));
  HEARTH_TRY(config.n_heads, reader.count("attention.head_count", kHeadsMax));
  HEARTH_TRY(config.n_kv_heads, reader.count("attention.head_count_kv", kHeadsMax, config.n_heads));
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

Result<> read_rope(const ConfigReader& reader, ModelConfig& config) {
  HEARTH_TRY(config.rope_theta, reader.positive("rope.freq_base", 10000.0F));
  HEARTH_TRY(config.rope_dim, reader.count("rope.dimension_count", kWidthMax, config.head_dim));
  if (config.rope_dim > config.head_dim || config.rope_dim % 2 != 0) {
    return reader.refuse(
        Code::kCorrupt,
        fmt::format("key '{}' is {}, an even number up to the head's {} elements "
                    "is needed: convert the model again",
                    reader.key("rope.dimension_count"), config.rope_dim, config.head_dim));
  }
  HEARTH_TRY(const std::string_view scaling,
             reader.file().get_string(reader.key("rope.scaling.type"), "none"));
  if (scaling == "none") return {};
  if (scaling != "linear") {
    return reader.refuse(
        Code::kUnsupported,
        fmt::format("rope scaling '{}' is not run by this build (none and linear "
                    "are): run the model in llama-server and add it as an upstream",
                    scaling));
  }
  HEARTH_TRY(config.rope_scale, reader.positive("rope.scaling.factor", 1.0F));
  return {};
}

// Features that change the result and that no row of the table has yet.
Result<> refuse_experts(const ConfigReader& reader) {
  HEARTH_TRY(const std::uint32_t n_experts, reader.file().get_u32(reader.key("expert_count"), 0U));
  if (n_experts == 0) return {};
  return reader.refuse(Code::kUnsupported,
                       fmt::format("a mixture of {} experts is not run by this build: run the "
                                   "model in llama-server and add it as an upstream",
                                   n_experts));
}

}  // namespace

Result<const Architecture*> architecture_of(const gguf::GgufFile& file) {
  HEARTH_TRY(const std::string_view name, file.get_string("general.architecture"));
  if (const Architecture* const row = find_architecture(name)) return row;
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
  HEARTH_TRY_VOID(refuse_experts(reader));
  HEARTH_TRY_VOID(read_sizes(reader, config));
  HEARTH_TRY_VOID(read_head_dim(reader, config));
  HEARTH_TRY_VOID(read_rope(reader, config));
  return config;
}

}  // namespace hearth::model

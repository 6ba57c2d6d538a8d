#include "model/encoder_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <unordered_set>

#include "model/config.h"

namespace hearth::model {
namespace {

using gguf::GgufFile;
using gguf::TensorInfo;
using tensor::MatView;

constexpr std::uint32_t kPositionsMax = 1U << 16;
constexpr std::uint32_t kRowsMax = 1U << 24;  // Of an embedding table.

std::unexpected<Error> refuse(const GgufFile& file, Code code, std::string_view what) {
  return fail(code, fmt::format("'{}': {}", file.name(), what));
}

// ---- Hyperparameters ----

struct CountRow {
  std::string_view key;
  std::uint32_t EncoderConfig::* slot;
  std::uint32_t max;
};

constexpr auto kCounts = std::to_array<CountRow>({
    {"bert.block_count", &EncoderConfig::n_layers, kLayersMax},
    {"bert.embedding_length", &EncoderConfig::d_model, kWidthMax},
    {"bert.feed_forward_length", &EncoderConfig::d_ff, kWidthMax},
    {"bert.attention.head_count", &EncoderConfig::n_heads, kHeadsMax},
    {"bert.context_length", &EncoderConfig::n_context, kPositionsMax},
});

Result<> read_counts(const GgufFile& file, EncoderConfig& config) {
  for (const CountRow& row : kCounts) {
    HEARTH_TRY(config.*row.slot, file.get_u32(row.key));
    if (config.*row.slot >= 1 && config.*row.slot <= row.max) continue;
    return refuse(file, Code::kCorrupt,
                  fmt::format("key '{}' is {}, 1 to {} allowed: convert the model again", row.key,
                              config.*row.slot, row.max));
  }
  if (config.d_model % config.n_heads == 0) {
    config.head_dim = config.d_model / config.n_heads;
    return {};
  }
  return refuse(file, Code::kCorrupt,
                fmt::format("{} heads cannot share a width of {} evenly: convert the model again",
                            config.n_heads, config.d_model));
}

// 0 asks for one vector per token, which is no text's embedding: the mean stands in, as most
// sentence encoders were trained for it.
Result<> read_pooling(const GgufFile& file, EncoderConfig& config) {
  constexpr std::string_view kKey = "bert.pooling_type";
  HEARTH_TRY(const std::uint32_t type, file.get_u32(kKey, 1U));
  if (type <= static_cast<std::uint32_t>(Pooling::kRank)) {
    config.pooling = type == 0 ? Pooling::kMean : static_cast<Pooling>(type);
    return {};
  }
  return refuse(file, Code::kUnsupported,
                fmt::format("key '{}' is {}; 0 (none), 1 (mean), 2 (first token), 3 (last) and 4 "
                            "(rank) are run: use a model that embeds or ranks",
                            kKey, type));
}

// ---- Tensors ----

struct LinearRow {
  std::string_view name;  // After "blk.N.".
  Linear EncoderLayer::* slot;
  std::uint32_t EncoderConfig::* rows;
  std::uint32_t EncoderConfig::* cols;
};
constexpr auto kD = &EncoderConfig::d_model;
constexpr auto kF = &EncoderConfig::d_ff;
constexpr auto kLinears = std::to_array<LinearRow>({
    {"attn_q", &EncoderLayer::q, kD, kD},
    {"attn_k", &EncoderLayer::k, kD, kD},
    {"attn_v", &EncoderLayer::v, kD, kD},
    {"attn_output", &EncoderLayer::attn_out, kD, kD},
    {"ffn_up", &EncoderLayer::up, kF, kD},
    {"ffn_down", &EncoderLayer::down, kD, kF},
});

struct NormRow {
  std::string_view name;
  LayerNorm EncoderLayer::* slot;
};
constexpr auto kNorms = std::to_array<NormRow>({
    {"attn_output_norm", &EncoderLayer::attn_norm},
    {"layer_output_norm", &EncoderLayer::ffn_norm},
});

class EncoderBinder {
 public:
  EncoderBinder(const GgufFile& file, EncoderConfig& config) : file_(file), config_(config) {}

  Result<EncoderWeights> run() {
    EncoderWeights weights;
    HEARTH_TRY(weights.tokens, table("token_embd.weight"));
    HEARTH_TRY(weights.positions, table("position_embd.weight"));
    HEARTH_TRY(weights.types, table("token_types.weight"));
    HEARTH_TRY(weights.embedding_norm, norm("token_embd_norm"));
    config_.n_vocab = weights.tokens.rows;
    config_.n_context = std::min(config_.n_context, weights.positions.rows);
    // One layer's tensors at a time: a lying block_count ends at the first that is missing.
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      HEARTH_TRY(const EncoderLayer layer, bind_layer(fmt::format("blk.{}.", i)));
      weights.layers.push_back(layer);
    }
    if (config_.pooling == Pooling::kRank) HEARTH_TRY_VOID(bind_classifier(weights));
    HEARTH_TRY_VOID(check_all_used());
    return weights;
  }

 private:
  Result<> bind_classifier(EncoderWeights& weights) {
    if (file_.find_tensor("cls.weight") != nullptr) {
      HEARTH_TRY(weights.classifier, linear("cls", config_.d_model, config_.d_model));
    }
    const TensorInfo* const output = file_.find_tensor("cls.output.weight");
    if (output != nullptr && output->dims[1] > 1) {
      return refuse(file_, Code::kUnsupported,
                    fmt::format("it sorts texts into {} classes, models with one score rank: name "
                                "another",
                                output->dims[1]));
    }
    HEARTH_TRY(weights.score, linear("cls.output", 1, config_.d_model));
    return {};
  }

  Result<EncoderLayer> bind_layer(const std::string& prefix) {
    EncoderLayer layer;
    for (const LinearRow& row : kLinears) {
      HEARTH_TRY(layer.*row.slot, linear(fmt::format("{}{}", prefix, row.name), config_.*row.rows,
                                         config_.*row.cols));
    }
    for (const NormRow& row : kNorms) {
      HEARTH_TRY(layer.*row.slot, norm(fmt::format("{}{}", prefix, row.name)));
    }
    return layer;
  }

  Result<const TensorInfo*> required(std::string_view name) {
    const TensorInfo* const info = file_.find_tensor(name);
    if (info == nullptr) {
      return refuse(file_, Code::kCorrupt,
                    fmt::format("tensor '{}' is missing ({} layers of 'bert' claimed): download "
                                "the model again",
                                name, config_.n_layers));
    }
    used_.insert(info);
    return info;
  }

  Result<> check_shape(const TensorInfo& info, std::string_view expected) const {
    if (info.shape_text() == expected) return {};
    return refuse(file_, Code::kCorrupt,
                  fmt::format("tensor '{}': {} expected, {} found: get the model from its source "
                              "again",
                              info.name, expected, info.shape_text()));
  }

  Result<MatView> matrix(std::string_view name, std::uint32_t rows, std::uint32_t cols) {
    HEARTH_TRY(const TensorInfo* const info, required(name));
    HEARTH_TRY_VOID(check_shape(*info, fmt::format("[{}, {}]", rows, cols)));
    const tensor::DTypeInfo& dtype = tensor::dtype_info(info->type);
    if (dtype.computable) return MatView{info->type, rows, cols, info->data.data(), info->layout};
    return refuse(file_, Code::kUnsupported,
                  fmt::format("tensor '{}' has the type {}, for which this build has no kernels: "
                              "get the model as F16 or Q8_0",
                              name, dtype.name));
  }

  // A table of vectors, as many as there are.
  Result<MatView> table(std::string_view name) {
    HEARTH_TRY(const TensorInfo* const info, required(name));
    if (info->dims[1] >= 1 && info->dims[1] <= kRowsMax) {
      return matrix(name, static_cast<std::uint32_t>(info->dims[1]), config_.d_model);
    }
    return refuse(file_, Code::kCorrupt, fmt::format("tensor '{}' has {} rows, 1 to {} allowed",
                                                     name, info->dims[1], kRowsMax));
  }

  Result<const float*> vector(const std::string& name, std::uint32_t size) {
    HEARTH_TRY(const TensorInfo* const info, required(name));
    HEARTH_TRY_VOID(check_shape(*info, fmt::format("[{}]", size)));
    if (info->type == tensor::DType::kF32) {
      return reinterpret_cast<const float*>(info->data.data());
    }
    return refuse(file_, Code::kUnsupported,
                  fmt::format("tensor '{}' has the type {}, vectors are read as F32: convert the "
                              "model again",
                              name, tensor::dtype_info(info->type).name));
  }

  Result<Linear> linear(const std::string& name, std::uint32_t rows, std::uint32_t cols) {
    Linear made;
    HEARTH_TRY(made.weight, matrix(name + ".weight", rows, cols));
    HEARTH_TRY(made.bias, vector(name + ".bias", rows));
    return made;
  }

  Result<LayerNorm> norm(const std::string& name) {
    LayerNorm made;
    HEARTH_TRY(made.weight, vector(name + ".weight", config_.d_model));
    HEARTH_TRY(made.bias, vector(name + ".bias", config_.d_model));
    return made;
  }

  Result<> check_all_used() const {
    for (const TensorInfo& info : file_.tensors()) {
      if (used_.contains(&info)) continue;
      return refuse(file_, Code::kUnsupported,
                    fmt::format("tensor '{}' is not part of a 'bert' as this build runs it, and "
                                "without it the embeddings would be wrong: run the model in "
                                "llama-server",
                                info.name));
    }
    return {};
  }

  const GgufFile& file_;
  EncoderConfig& config_;
  std::unordered_set<const TensorInfo*> used_;
};

}  // namespace

std::span<const std::string_view> encoder_architectures() {
  static constexpr std::string_view kNames[] = {"bert"};
  return kNames;
}

bool is_encoder_architecture(std::string_view architecture) {
  return std::ranges::find(encoder_architectures(), architecture) != encoder_architectures().end();
}

Result<EncoderConfig> read_encoder_config(const GgufFile& file) {
  HEARTH_TRY(const std::string_view architecture, file.get_string("general.architecture"));
  if (!is_encoder_architecture(architecture)) {
    return refuse(file, Code::kUnsupported,
                  fmt::format("its architecture '{}' is no encoder, embeddings are made by 'bert' "
                              "models: name one of those",
                              architecture.substr(0, 64)));
  }
  EncoderConfig config;
  const std::string stem = std::filesystem::path(file.name()).stem().string();
  HEARTH_TRY(const std::string_view name, file.get_string("general.name", stem));
  config.name = name;
  HEARTH_TRY_VOID(read_counts(file, config));
  HEARTH_TRY_VOID(read_pooling(file, config));
  constexpr std::string_view kEps = "bert.attention.layer_norm_epsilon";
  HEARTH_TRY(config.norm_eps, file.get_f32(kEps, config.norm_eps));
  HEARTH_TRY(const bool is_causal, file.get_bool("bert.attention.causal", false));
  if (is_causal) {
    return refuse(file, Code::kUnsupported, "a causal encoder is not run by this build");
  }
  if (config.norm_eps >= 0 && config.norm_eps < 1) return config;
  return refuse(file, Code::kCorrupt,
                fmt::format("key '{}' is {}, 0 to 1 is needed: convert the model again", kEps,
                            config.norm_eps));
}

Result<EncoderWeights> bind_encoder_weights(const GgufFile& file, EncoderConfig& config) {
  return EncoderBinder(file, config).run();
}

}  // namespace hearth::model

#include "model/weights.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <unordered_set>
#include <variant>

namespace hearth::model {
namespace {

using gguf::GgufFile;
using gguf::TensorInfo;
using tensor::MatView;

// A tensor's dimension in terms of the configuration.
enum class Dim : std::uint8_t { kModel, kQuery, kKeyValue, kHead, kFf };

std::uint32_t extent(Dim dim, const ModelConfig& config) {
  switch (dim) {
    case Dim::kModel:
      return config.d_model;
    case Dim::kQuery:
      return config.n_heads * config.head_dim;
    case Dim::kKeyValue:
      return config.n_kv_heads * config.head_dim;
    case Dim::kHead:
      return config.head_dim;
    case Dim::kFf:
      return config.d_ff;
  }
  return 0;
}

struct MatrixRow {
  std::string_view suffix;  // After "blk.N.".
  MatView LayerWeights::* slot;
  Dim rows, cols;
};

constexpr auto kMatrices = std::to_array<MatrixRow>({
    {"attn_q.weight", &LayerWeights::q, Dim::kQuery, Dim::kModel},
    {"attn_k.weight", &LayerWeights::k, Dim::kKeyValue, Dim::kModel},
    {"attn_v.weight", &LayerWeights::v, Dim::kKeyValue, Dim::kModel},
    {"attn_output.weight", &LayerWeights::attn_out, Dim::kModel, Dim::kQuery},
    {"ffn_gate.weight", &LayerWeights::gate, Dim::kFf, Dim::kModel},
    {"ffn_up.weight", &LayerWeights::up, Dim::kFf, Dim::kModel},
    {"ffn_down.weight", &LayerWeights::down, Dim::kModel, Dim::kFf},
});

struct VectorRow {
  std::string_view suffix;
  VecView LayerWeights::* slot;
  Dim size;
  Presence Architecture::* presence;  // Null for what every architecture has.
};

constexpr auto kVectors = std::to_array<VectorRow>({
    {"attn_norm.weight", &LayerWeights::attn_norm, Dim::kModel, nullptr},
    {"ffn_norm.weight", &LayerWeights::ffn_norm, Dim::kModel, nullptr},
    {"attn_q.bias", &LayerWeights::q_bias, Dim::kQuery, &Architecture::qkv_bias},
    {"attn_k.bias", &LayerWeights::k_bias, Dim::kKeyValue, &Architecture::qkv_bias},
    {"attn_v.bias", &LayerWeights::v_bias, Dim::kKeyValue, &Architecture::qkv_bias},
    {"attn_output.bias", &LayerWeights::attn_out_bias, Dim::kModel, &Architecture::output_bias},
    {"attn_q_norm.weight", &LayerWeights::q_norm, Dim::kHead, &Architecture::qk_norm},
    {"attn_k_norm.weight", &LayerWeights::k_norm, Dim::kHead, &Architecture::qk_norm},
    {"ffn_gate.bias", &LayerWeights::gate_bias, Dim::kFf, &Architecture::ffn_bias},
    {"ffn_up.bias", &LayerWeights::up_bias, Dim::kFf, &Architecture::ffn_bias},
    {"ffn_down.bias", &LayerWeights::down_bias, Dim::kModel, &Architecture::ffn_bias},
});

class Binder {
 public:
  Binder(const GgufFile& file, const Architecture& architecture, ModelConfig& config)
      : file_(file), architecture_(architecture), config_(config) {}

  Result<Weights> run() {
    Weights weights;
    HEARTH_TRY_VOID(bind_embedding(weights));
    HEARTH_TRY(weights.output_norm, vector("output_norm.weight", config_.d_model));
    HEARTH_TRY_VOID(bind_rope_factors(weights));
    // One layer's tensors at a time: a lying block_count ends at the first that is missing.
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      HEARTH_TRY(const LayerWeights layer, bind_layer(i));
      weights.layers.push_back(layer);
    }
    HEARTH_TRY_VOID(check_all_used());
    return weights;
  }

 private:
  std::unexpected<Error> refuse(Code code, std::string_view what) const {
    return fail(code, fmt::format("'{}': {}", file_.name(), what));
  }

  Result<const TensorInfo*> required(std::string_view name) {
    if (const TensorInfo* const info = optional(name)) return info;
    if (file_.tensors().empty()) {
      return refuse(Code::kInvalidArgument,
                    "it holds a vocabulary but no weights: give the path of a whole model");
    }
    return refuse(Code::kCorrupt,
                  fmt::format("tensor '{}' is missing ({} layers of '{}' claimed): download the "
                              "model again",
                              name, config_.n_layers, architecture_.name));
  }

  const TensorInfo* optional(std::string_view name) {
    const TensorInfo* const info = file_.find_tensor(name);
    if (info != nullptr) used_.insert(info);
    return info;
  }

  Result<> check_shape(const TensorInfo& info, std::string_view expected) const {
    if (info.shape_text() == expected) return {};
    return refuse(Code::kCorrupt,
                  fmt::format("tensor '{}': {} expected, {} found: get the model from its source "
                              "again",
                              info.name, expected, info.shape_text()));
  }

  Result<MatView> as_matrix(const TensorInfo& info, std::uint32_t rows, std::uint32_t cols) const {
    HEARTH_TRY_VOID(check_shape(info, fmt::format("[{}, {}]", rows, cols)));
    const tensor::DTypeInfo& dtype = tensor::dtype_info(info.type);
    if (!dtype.computable) {
      return refuse(Code::kUnsupported,
                    fmt::format("tensor '{}' has the type {}, for which this build has no kernels: "
                                "get the model as Q8_0 or Q4_K_M",
                                info.name, dtype.name));
    }
    return MatView{info.type, rows, cols, info.data.data()};
  }

  Result<VecView> as_vector(const TensorInfo& info, std::uint32_t size) const {
    HEARTH_TRY_VOID(check_shape(info, fmt::format("[{}]", size)));
    if (info.type == tensor::DType::kF32) return reinterpret_cast<VecView>(info.data.data());
    return refuse(Code::kUnsupported,
                  fmt::format("tensor '{}' has the type {}, vectors are read as F32: convert the "
                              "model again",
                              info.name, tensor::dtype_info(info.type).name));
  }

  Result<VecView> vector(std::string_view name, std::uint32_t size) {
    HEARTH_TRY(const TensorInfo* const info, required(name));
    return as_vector(*info, size);
  }

  Result<> bind_embedding(Weights& weights) {
    HEARTH_TRY(const TensorInfo* const info, required("token_embd.weight"));
    constexpr std::uint64_t kVocabMax = 1U << 24;
    if (info->dims[1] > kVocabMax) {
      return refuse(Code::kCorrupt, fmt::format("tensor '{}' has {} rows, at most {} allowed",
                                                info->name, info->dims[1], kVocabMax));
    }
    config_.n_vocab = static_cast<std::uint32_t>(info->dims[1]);
    HEARTH_TRY(weights.embedding, as_matrix(*info, config_.n_vocab, config_.d_model));
    weights.output = weights.embedding;
    const TensorInfo* const output = optional("output.weight");
    if (output == nullptr) return {};
    HEARTH_TRY(weights.output, as_matrix(*output, config_.n_vocab, config_.d_model));
    return {};
  }

  Result<> bind_rope_factors(Weights& weights) {
    const TensorInfo* const info = optional("rope_freqs.weight");
    if (info == nullptr) return {};
    HEARTH_TRY(weights.rope_factors, as_vector(*info, config_.rope_dim / 2));
    for (std::uint32_t i = 0; i < config_.rope_dim / 2; ++i) {
      if (std::isfinite(weights.rope_factors[i]) && weights.rope_factors[i] > 0) continue;
      return refuse(Code::kCorrupt,
                    fmt::format("tensor 'rope_freqs.weight' holds {}, numbers above "
                                "0 are needed: download the model again",
                                weights.rope_factors[i]));
    }
    return {};
  }

  Result<LayerWeights> bind_layer(std::uint32_t index) {
    LayerWeights layer;
    for (const MatrixRow& row : kMatrices) {
      HEARTH_TRY(const TensorInfo* const info, required(layer_name(index, row.suffix)));
      HEARTH_TRY(layer.*row.slot,
                 as_matrix(*info, extent(row.rows, config_), extent(row.cols, config_)));
    }
    for (const VectorRow& row : kVectors) {
      HEARTH_TRY(layer.*row.slot, bind_vector(index, row));
    }
    return layer;
  }

  Result<VecView> bind_vector(std::uint32_t index, const VectorRow& row) {
    const std::string name = layer_name(index, row.suffix);
    const Presence presence =
        row.presence == nullptr ? Presence::kRequired : architecture_.*row.presence;
    const std::uint32_t size = extent(row.size, config_);
    if (presence == Presence::kRequired) return vector(name, size);
    const TensorInfo* const info = presence == Presence::kNever ? nullptr : optional(name);
    if (info == nullptr) return nullptr;
    return as_vector(*info, size);
  }

  static std::string layer_name(std::uint32_t index, std::string_view suffix) {
    return fmt::format("blk.{}.{}", index, suffix);
  }

  // Precomputed frequencies that some converters leave in; rotation computes its own.
  static bool is_redundant(std::string_view name) { return name.ends_with(".attn_rot_embd"); }

  Result<> check_all_used() const {
    for (const TensorInfo& info : file_.tensors()) {
      if (used_.contains(&info) || is_redundant(info.name)) continue;
      return refuse(Code::kUnsupported,
                    fmt::format("tensor '{}' is not part of a '{}' as this build runs it, and "
                                "without it the answers would be wrong: run the model in "
                                "llama-server and add it as an upstream",
                                info.name, architecture_.name));
    }
    return {};
  }

  const GgufFile& file_;
  const Architecture& architecture_;
  ModelConfig& config_;
  std::unordered_set<const TensorInfo*> used_;
};

}  // namespace

Result<Weights> bind_weights(const GgufFile& file, const Architecture& architecture,
                             ModelConfig& config) {
  return Binder(file, architecture, config).run();
}

}  // namespace hearth::model

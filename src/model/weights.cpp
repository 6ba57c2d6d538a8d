#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>

namespace hearth::model {
namespace {

using gguf::GgufFile;
using gguf::TensorInfo;
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
  kDeltaState
};

std::uint32_t extent(Dim dim, const ModelConfig& config) {
  switch (dim) {
    case Dim::kModel:
      return config.d_model;
    case Dim::kQuery:
      return config.d_query();
    case Dim::kQueryRows:
      return config.gates_attention ? 2 * config.d_query() : config.d_query();
    case Dim::kDeltaChannels:
      return config.delta.channels();
    case Dim::kDeltaValues:
      return config.delta.value_width();
    case Dim::kDeltaHeads:
      return config.delta.n_value_heads;
    case Dim::kDeltaState:
      return config.delta.state_size;
    case Dim::kKeyValue:
      return config.d_key_value();
    case Dim::kQueryNorm:
      return config.qk_norm_is_of_rows ? config.d_query() : config.head_dim;
    case Dim::kKeyNorm:
      return config.qk_norm_is_of_rows ? config.d_key_value() : config.head_dim;
    case Dim::kHeads:
      return config.n_heads;
    case Dim::kFf:
      return config.d_ff;
    case Dim::kFfExpert:
      return config.d_ff_expert;
    case Dim::kExperts:
      return config.n_experts;
  }
  return 0;
}

template <class Owner>
struct MatrixRow {
  std::string_view suffix;  // After "blk.N.".
  MatView Owner::* slot;
  Dim rows, cols;
};

constexpr auto kSeparateQkv = std::to_array<MatrixRow<LayerWeights>>({
    {"attn_q.weight", &LayerWeights::q, Dim::kQueryRows, Dim::kModel},
    {"attn_k.weight", &LayerWeights::k, Dim::kKeyValue, Dim::kModel},
    {"attn_v.weight", &LayerWeights::v, Dim::kKeyValue, Dim::kModel},
});
constexpr auto kAttentionOut = std::to_array<MatrixRow<LayerWeights>>({
    {"attn_output.weight", &LayerWeights::attn_out, Dim::kModel, Dim::kQuery},
});
constexpr auto kGateUp = std::to_array<MatrixRow<LayerWeights>>({
    {"ffn_gate.weight", &LayerWeights::gate, Dim::kFf, Dim::kModel},
    {"ffn_up.weight", &LayerWeights::up, Dim::kFf, Dim::kModel},
});
constexpr auto kDown = std::to_array<MatrixRow<LayerWeights>>({
    {"ffn_down.weight", &LayerWeights::down, Dim::kModel, Dim::kFf},
});
constexpr auto kRouter = std::to_array<MatrixRow<ExpertWeights>>({
    {"ffn_gate_inp.weight", &ExpertWeights::router, Dim::kExperts, Dim::kModel},
});
// Each [n_experts, rows, cols].
constexpr auto kExperts = std::to_array<MatrixRow<ExpertWeights>>({
    {"ffn_gate_exps.weight", &ExpertWeights::gate, Dim::kFfExpert, Dim::kModel},
    {"ffn_up_exps.weight", &ExpertWeights::up, Dim::kFfExpert, Dim::kModel},
    {"ffn_down_exps.weight", &ExpertWeights::down, Dim::kModel, Dim::kFfExpert},
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
});
constexpr auto kAttentionVectors = std::to_array<VectorRow<LayerWeights>>({
    {"attn_q.bias", &LayerWeights::q_bias, Dim::kQuery, &Architecture::qkv_bias},
    {"attn_k.bias", &LayerWeights::k_bias, Dim::kKeyValue, &Architecture::qkv_bias},
    {"attn_v.bias", &LayerWeights::v_bias, Dim::kKeyValue, &Architecture::qkv_bias},
    {"attn_output.bias", &LayerWeights::attn_out_bias, Dim::kModel, &Architecture::output_bias},
    {"attn_q_norm.weight", &LayerWeights::q_norm, Dim::kQueryNorm, &Architecture::qk_norm},
    {"attn_k_norm.weight", &LayerWeights::k_norm, Dim::kKeyNorm, &Architecture::qk_norm},
    {"attn_sinks.weight", &LayerWeights::sinks, Dim::kHeads, &Architecture::sinks},
});
constexpr auto kDeltaMatrices = std::to_array<MatrixRow<DeltaNetWeights>>({
    {"attn_qkv.weight", &DeltaNetWeights::qkv, Dim::kDeltaChannels, Dim::kModel},
    {"attn_gate.weight", &DeltaNetWeights::gate, Dim::kDeltaValues, Dim::kModel},
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

class Binder {
 public:
  Binder(const GgufFile& file, const Architecture& architecture, ModelConfig& config)
      : file_(file), architecture_(architecture), config_(config) {}

  Result<Weights> run() {
    Weights weights;
    HEARTH_TRY_VOID(bind_embedding(weights));
    HEARTH_TRY(weights.output_norm, vector(architecture_.output_norm_name, config_.d_model));
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

  // The view of a [rows, cols] matrix, or of n_parts such matrices in one tensor.
  Result<MatView> as_matrix(const TensorInfo& info, std::uint32_t rows, std::uint32_t cols,
                            std::uint32_t n_parts = 0) const {
    const std::string shape = n_parts == 0 ? fmt::format("[{}, {}]", rows, cols)
                                           : fmt::format("[{}, {}, {}]", n_parts, rows, cols);
    HEARTH_TRY_VOID(check_shape(info, shape));
    const tensor::DTypeInfo& dtype = tensor::dtype_info(info.type);
    if (!dtype.computable) {
      return refuse(Code::kUnsupported,
                    fmt::format("tensor '{}' has the type {}, for which this build has no kernels: "
                                "get the model as Q8_0 or Q4_K_M",
                                info.name, dtype.name));
    }
    return MatView{info.type, rows * std::max(n_parts, 1U), cols, info.data.data(), info.layout};
  }

  Result<VecView> as_vector(const TensorInfo& info, std::uint32_t size,
                            std::uint32_t n_parts = 0) const {
    HEARTH_TRY_VOID(check_shape(
        info, n_parts == 0 ? fmt::format("[{}]", size) : fmt::format("[{}, {}]", n_parts, size)));
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

  // Llama 3 has one list; longrope a list for contexts up to the first and one for longer ones, of
  // which the file's own context length chooses.
  Result<> bind_rope_factors(Weights& weights) {
    const bool is_long = config_.n_context_train > config_.rope.n_context_first;
    const TensorInfo* const of_short = optional("rope_factors_short.weight");
    const TensorInfo* const of_long = optional("rope_factors_long.weight");
    const TensorInfo* info = optional("rope_freqs.weight");
    if (info == nullptr) info = is_long ? of_long : of_short;
    if (info == nullptr) return {};
    HEARTH_TRY(weights.rope_factors, as_vector(*info, config_.rope_dim / 2));
    for (std::uint32_t i = 0; i < config_.rope_dim / 2; ++i) {
      if (std::isfinite(weights.rope_factors[i]) && weights.rope_factors[i] > 0) continue;
      return refuse(Code::kCorrupt, fmt::format("tensor '{}' holds {}, numbers above 0 are needed: "
                                                "download the model again",
                                                info->name, weights.rope_factors[i]));
    }
    return {};
  }

  Result<LayerWeights> bind_layer(std::uint32_t index) {
    LayerWeights layer;
    HEARTH_TRY_VOID(bind_vectors(index, kBlockNorms, layer));
    const LayerKind kind = config_.layers[index].kind;
    if (kind == LayerKind::kConvolution) {
      HEARTH_TRY_VOID(bind_convolution(index, layer));
    } else if (kind == LayerKind::kDeltaNet) {
      HEARTH_TRY_VOID(bind_delta_net(index, layer));
    } else {
      HEARTH_TRY_VOID(bind_qkv(index, layer));
      HEARTH_TRY_VOID(bind_matrices(index, kAttentionOut, layer));
      HEARTH_TRY_VOID(bind_vectors(index, kAttentionVectors, layer));
    }
    if (architecture_.pre_norm != Presence::kNever) {
      HEARTH_TRY(layer.ffn_norm,
                 vector(layer_name(index, architecture_.ffn_norm_name), config_.d_model));
    }
    if (config_.n_experts > 0) {
      HEARTH_TRY_VOID(bind_experts(index, layer.experts));
      return layer;
    }
    HEARTH_TRY_VOID(bind_gate_up(index, layer));
    HEARTH_TRY_VOID(bind_matrices(index, kDown, layer));
    HEARTH_TRY_VOID(bind_vectors(index, kDenseBiases, layer));
    return layer;
  }

  Result<> bind_convolution(std::uint32_t index, LayerWeights& layer) {
    const auto named = [&](std::string_view suffix) { return required(layer_name(index, suffix)); };
    HEARTH_TRY(const TensorInfo* const in, named("shortconv.in_proj.weight"));
    HEARTH_TRY(layer.conv_in, as_matrix(*in, 3 * config_.d_model, config_.d_model));
    HEARTH_TRY(const TensorInfo* const kernel, named("shortconv.conv.weight"));
    HEARTH_TRY(layer.conv, as_vector(*kernel, config_.conv_width, config_.d_model));
    HEARTH_TRY(const TensorInfo* const out, named("shortconv.out_proj.weight"));
    HEARTH_TRY(layer.attn_out, as_matrix(*out, config_.d_model, config_.d_model));
    return {};
  }

  Result<> bind_delta_net(std::uint32_t index, LayerWeights& layer) {
    HEARTH_TRY_VOID(bind_matrices(index, kDeltaMatrices, layer.delta));
    HEARTH_TRY_VOID(bind_vectors(index, kDeltaVectors, layer.delta));
    HEARTH_TRY(const TensorInfo* const kernel, required(layer_name(index, "ssm_conv1d.weight")));
    HEARTH_TRY(layer.delta.conv,
               as_vector(*kernel, config_.delta.conv_width, config_.delta.channels()));
    HEARTH_TRY(const TensorInfo* const out, required(layer_name(index, "ssm_out.weight")));
    HEARTH_TRY(layer.attn_out, as_matrix(*out, config_.d_model, config_.delta.value_width()));
    return {};
  }

  // A fused matrix holds the rows of its parts one after another.
  Result<> bind_qkv(std::uint32_t index, LayerWeights& layer) {
    if (!architecture_.is_fused) return bind_matrices(index, kSeparateQkv, layer);
    const std::uint32_t n_q = config_.d_query();
    const std::uint32_t n_kv = config_.d_key_value();
    HEARTH_TRY(const TensorInfo* const info, required(layer_name(index, "attn_qkv.weight")));
    HEARTH_TRY(const MatView fused, as_matrix(*info, n_q + 2 * n_kv, config_.d_model));
    layer.q = tensor::row_range(fused, 0, n_q);
    layer.k = tensor::row_range(fused, n_q, n_kv);
    layer.v = tensor::row_range(fused, n_q + n_kv, n_kv);
    return {};
  }

  Result<> bind_gate_up(std::uint32_t index, LayerWeights& layer) {
    if (!architecture_.is_fused) return bind_matrices(index, kGateUp, layer);
    HEARTH_TRY(const TensorInfo* const info, required(layer_name(index, "ffn_up.weight")));
    HEARTH_TRY(const MatView fused, as_matrix(*info, 2 * config_.d_ff, config_.d_model));
    layer.gate = tensor::row_range(fused, 0, config_.d_ff);
    layer.up = tensor::row_range(fused, config_.d_ff, config_.d_ff);
    return {};
  }

  Result<> bind_experts(std::uint32_t index, ExpertWeights& experts) {
    HEARTH_TRY_VOID(bind_matrices(index, kRouter, experts));
    HEARTH_TRY_VOID(bind_matrices(index, kExperts, experts, config_.n_experts));
    return bind_vectors(index, kExpertBiases, experts);
  }

  template <class Owner, std::size_t kRows>
  Result<> bind_matrices(std::uint32_t index, const std::array<MatrixRow<Owner>, kRows>& rows,
                         Owner& owner, std::uint32_t n_parts = 0) {
    for (const MatrixRow<Owner>& row : rows) {
      HEARTH_TRY(const TensorInfo* const info, required(layer_name(index, row.suffix)));
      HEARTH_TRY(owner.*row.slot,
                 as_matrix(*info, extent(row.rows, config_), extent(row.cols, config_), n_parts));
    }
    return {};
  }

  template <class Owner, std::size_t kRows>
  Result<> bind_vectors(std::uint32_t index, const std::array<VectorRow<Owner>, kRows>& rows,
                        Owner& owner) {
    for (const VectorRow<Owner>& row : rows) {
      const std::string name = layer_name(index, row.suffix);
      const Presence presence = architecture_.*row.presence;
      if (presence == Presence::kNever) continue;
      const TensorInfo* info = optional(name);
      if (info == nullptr && presence == Presence::kOptional) continue;
      HEARTH_TRY(info, required(name));
      HEARTH_TRY(owner.*row.slot, as_vector(*info, extent(row.size, config_),
                                            row.is_per_expert ? config_.n_experts : 0));
    }
    return {};
  }

  static std::string layer_name(std::uint32_t index, std::string_view suffix) {
    return fmt::format("blk.{}.{}", index, suffix);
  }

  // Precomputed frequencies that some converters leave in, since rotation computes its own; and
  // layers behind the last that predict further tokens, without which the model is whole.
  bool is_redundant(std::string_view name) const {
    if (name.ends_with(".attn_rot_embd")) return true;
    for (std::uint32_t i = 0; i < config_.n_further_layers; ++i) {
      if (name.starts_with(layer_name(config_.n_layers + i, ""))) return true;
    }
    return false;
  }

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

std::vector<MatView> matrices_of(const LayerWeights& layer) {
  std::vector<MatView> matrices;
  for (const MatView& matrix :
       {layer.conv_in, layer.delta.qkv, layer.delta.gate, layer.delta.beta, layer.delta.alpha,
        layer.q, layer.k, layer.v, layer.attn_out, layer.gate, layer.up, layer.down,
        layer.experts.router, layer.experts.gate, layer.experts.up, layer.experts.down}) {
    if (matrix.data != nullptr) matrices.push_back(matrix);
  }
  return matrices;
}

Result<Weights> bind_weights(const GgufFile& file, const Architecture& architecture,
                             ModelConfig& config) {
  return Binder(file, architecture, config).run();
}

}  // namespace hearth::model

#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "model/weight_rows.h"

namespace hearth::model {
namespace {

using gguf::GgufFile;
using gguf::TensorInfo;
using tensor::MatView;

constexpr std::string_view kDenseNames[] = {"ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"};
constexpr std::string_view kSharedNames[] = {"ffn_gate_shexp.weight", "ffn_up_shexp.weight",
                                             "ffn_down_shexp.weight"};

class Binder {
 public:
  Binder(const GgufFile& file, const Architecture& architecture, ModelConfig& config)
      : file_(file), architecture_(architecture), config_(config) {}

  Result<Weights> run() {
    Weights weights;
    HEARTH_TRY_VOID(bind_embedding(weights));
    HEARTH_TRY(weights.output_norm, vector(architecture_.output_norm_name, config_.d_model));
    HEARTH_TRY_VOID(bind_classifier(weights));
    HEARTH_TRY_VOID(bind_rope_factors(weights));
    HEARTH_TRY_VOID(bind_per_layer_inputs(weights));
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
    config_.n_vocab = config_.n_logits = static_cast<std::uint32_t>(info->dims[1]);
    HEARTH_TRY(weights.embedding, as_matrix(*info, config_.n_vocab, config_.d_model));
    weights.output = weights.embedding;
    const TensorInfo* const output = optional("output.weight");
    if (output == nullptr) return {};
    HEARTH_TRY(weights.output, as_matrix(*output, config_.n_vocab, config_.d_model));
    return {};
  }

  Result<> bind_classifier(Weights& weights) {
    constexpr std::uint64_t kLabelsMax = 1024;
    if (architecture_.classifier == Presence::kNever) return {};
    const TensorInfo* const info = optional("cls.output.weight");
    if (info == nullptr) return {};
    const auto n = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(info->dims[1], 1, kLabelsMax));
    HEARTH_TRY(weights.classifier, as_matrix(*info, n, config_.d_model));
    return {};
  }

  Result<> bind_per_layer_inputs(Weights& weights) {
    if (config_.d_per_layer == 0) return {};
    const std::uint32_t width = config_.n_layers * config_.d_per_layer;
    HEARTH_TRY(const TensorInfo* const table, required("per_layer_token_embd.weight"));
    HEARTH_TRY(weights.inputs_embedding, as_matrix(*table, config_.n_vocab, width));
    HEARTH_TRY(const TensorInfo* const projection, required("per_layer_model_proj.weight"));
    HEARTH_TRY(weights.inputs_projection, as_matrix(*projection, width, config_.d_model));
    HEARTH_TRY(weights.inputs_norm, vector("per_layer_proj_norm.weight", config_.d_per_layer));
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
    } else if (kind == LayerKind::kMamba) {
      HEARTH_TRY_VOID(bind_mamba(index, layer));
    } else if (kind == LayerKind::kAttention) {
      HEARTH_TRY_VOID(bind_qkv(index, layer));
      HEARTH_TRY_VOID(bind_matrices(index, kAttentionOut, layer));
      HEARTH_TRY_VOID(bind_vectors(index, kQueryVectors, layer));
    }
    if (architecture_.is_one_block_each) {
      layer.ffn_norm = layer.attn_norm;
    } else if (architecture_.pre_norm != Presence::kNever) {
      HEARTH_TRY(layer.ffn_norm,
                 vector(layer_name(index, architecture_.ffn_norm_name), config_.d_model));
    }
    if (config_.layers[index].d_ff > 0) HEARTH_TRY_VOID(bind_feed_forward(index, layer));
    if (config_.layers[index].has_experts) HEARTH_TRY_VOID(bind_experts(index, layer.experts));
    if (config_.d_per_layer > 0) {
      HEARTH_TRY_VOID(bind_matrices(index, kPerLayerInputs, layer));
      HEARTH_TRY_VOID(bind_vectors(index, kPerLayerVectors, layer));
    }
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
    if (!architecture_.delta_heads_are_grouped) {
      HEARTH_TRY_VOID(bind_matrices(index, kDeltaBetaAlpha, layer.delta));
    } else {
      HEARTH_TRY(const TensorInfo* const both, required(layer_name(index, "ssm_ba.weight")));
      HEARTH_TRY(layer.delta.beta,
                 as_matrix(*both, 2 * config_.delta.n_value_heads, config_.d_model));
    }
    HEARTH_TRY_VOID(bind_vectors(index, kDeltaVectors, layer.delta));
    HEARTH_TRY(const TensorInfo* const kernel, required(layer_name(index, "ssm_conv1d.weight")));
    HEARTH_TRY(layer.delta.conv,
               as_vector(*kernel, config_.delta.conv_width, config_.delta.channels()));
    HEARTH_TRY(const TensorInfo* const out, required(layer_name(index, "ssm_out.weight")));
    HEARTH_TRY(layer.attn_out, as_matrix(*out, config_.d_model, config_.delta.value_width()));
    return {};
  }

  Result<> bind_mamba(std::uint32_t index, LayerWeights& layer) {
    const MambaConfig& c = config_.mamba;
    MambaWeights& mamba = layer.mamba;
    const std::uint32_t channels = c.channels();
    HEARTH_TRY(const MatView in, matrix(layer_name(index, "ssm_in.weight"),
                                        c.d_inner + channels + c.n_heads, config_.d_model));
    mamba.gate = tensor::row_range(in, 0, c.d_inner);
    mamba.mixed = tensor::row_range(in, c.d_inner, channels);
    mamba.rates = tensor::row_range(in, c.d_inner + channels, c.n_heads);
    const auto bind = [&](std::string_view suffix, std::uint32_t rows, std::uint32_t cols) {
      return tensor_of(layer_name(index, suffix), rows, cols);
    };
    HEARTH_TRY(mamba.conv, bind("ssm_conv1d.weight", channels, c.conv_width));
    HEARTH_TRY(mamba.conv_bias, vector(layer_name(index, "ssm_conv1d.bias"), channels));
    HEARTH_TRY(mamba.dt_bias, vector(layer_name(index, "ssm_dt.bias"), c.n_heads));
    HEARTH_TRY(mamba.a, bind("ssm_a", c.n_heads, 1));
    HEARTH_TRY(mamba.d, bind("ssm_d", c.n_heads, 1));
    HEARTH_TRY(mamba.norm, bind("ssm_norm.weight", c.n_groups, c.d_inner / c.n_groups));
    HEARTH_TRY(layer.attn_out,
               matrix(layer_name(index, "ssm_out.weight"), config_.d_model, c.d_inner));
    return {};
  }

  // Of [rows, cols], as numbers that are read one by one.
  Result<VecView> tensor_of(std::string_view name, std::uint32_t rows, std::uint32_t cols) {
    HEARTH_TRY(const TensorInfo* const info, required(name));
    return as_vector(*info, cols, rows);
  }

  // A fused matrix holds the rows of its parts one after another.
  Result<> bind_qkv(std::uint32_t index, LayerWeights& layer) {
    const LayerPlan& plan = config_.layers[index];
    if (!plan.borrows_kv) HEARTH_TRY_VOID(bind_vectors(index, kKeyVectors, layer));
    if (architecture_.is_fused) {
      const std::uint32_t n_q = config_.d_query(plan);
      const std::uint32_t n_kv = plan.n_kv_heads * plan.head_dim;
      HEARTH_TRY(const TensorInfo* const info, required(layer_name(index, "attn_qkv.weight")));
      HEARTH_TRY(const MatView fused, as_matrix(*info, n_q + 2 * n_kv, config_.d_model));
      layer.q = tensor::row_range(fused, 0, n_q);
      layer.k = tensor::row_range(fused, n_q, n_kv);
      layer.v = tensor::row_range(fused, n_q + n_kv, n_kv);
      return {};
    }
    HEARTH_TRY_VOID(bind_matrices(index, kQueryMatrix, layer));
    if (plan.borrows_kv) return skip_borrowed(index);
    HEARTH_TRY_VOID(bind_matrices(index, kKeyMatrix, layer));
    const std::string value = layer_name(index, kValueMatrix[0].suffix);
    if (architecture_.value_matrix == Presence::kOptional && optional(value) == nullptr) return {};
    return bind_matrices(index, kValueMatrix, layer);
  }

  // Some files keep what a layer that borrows its keys and values would make its own with.
  Result<> skip_borrowed(std::uint32_t index) {
    for (const std::string_view suffix : {"attn_k.weight", "attn_v.weight", "attn_k_norm.weight"}) {
      (void)optional(layer_name(index, suffix));
    }
    return {};
  }

  // Gate, up and down; a fused matrix is a gate and then its up.
  Result<> bind_feed_forward(std::uint32_t index, LayerWeights& layer) {
    const std::uint32_t d_ff = config_.layers[index].d_ff;
    const bool is_shared =
        config_.layers[index].has_experts && architecture_.shared_expert != SharedExpert::kDenseBlock;
    const auto& names = is_shared ? kSharedNames : kDenseNames;
    const auto bind = [&](std::string_view name, std::uint32_t rows, std::uint32_t cols) {
      return matrix(layer_name(index, name), rows, cols);
    };
    HEARTH_TRY(layer.down, bind(names[2], config_.d_model, d_ff));
    if (architecture_.is_fused) {
      HEARTH_TRY(const MatView fused, bind(names[1], 2 * d_ff, config_.d_model));
      layer.gate = tensor::row_range(fused, 0, d_ff);
      layer.up = tensor::row_range(fused, d_ff, d_ff);
    } else {
      if (has_gate()) {
        HEARTH_TRY(layer.gate, bind(names[0], d_ff, config_.d_model));
      }
      HEARTH_TRY(layer.up, bind(names[1], d_ff, config_.d_model));
    }
    return is_shared ? Result<>{} : bind_vectors(index, kDenseBiases, layer);
  }

  bool has_gate() const { return architecture_.activation != Activation::kSquaredRelu; }

  Result<MatView> matrix(std::string_view name, std::uint32_t rows, std::uint32_t cols) {
    HEARTH_TRY(const TensorInfo* const info, required(name));
    return as_matrix(*info, rows, cols);
  }

  Result<> bind_experts(std::uint32_t index, ExpertWeights& experts) {
    const std::uint32_t n = config_.n_experts;
    HEARTH_TRY_VOID(bind_matrices(index, kRouter, experts));
    HEARTH_TRY_VOID(bind_matrices(index, kExpertDown, experts, n));
    HEARTH_TRY_VOID(bind_vectors(index, kExpertBiases, experts));
    HEARTH_TRY_VOID(bind_beside_experts(index, experts));
    const TensorInfo* const fused = optional(layer_name(index, "ffn_gate_up_exps.weight"));
    if (!has_gate()) return bind_matrices(index, kExpertUp, experts, n);
    if (fused == nullptr) return bind_matrices(index, kExpertGateUp, experts, n);
    HEARTH_TRY(experts.gate, as_matrix(*fused, 2 * config_.d_ff_expert, config_.d_model, n));
    return {};
  }

  // What joins the experts with the block that every token takes.
  Result<> bind_beside_experts(std::uint32_t index, ExpertWeights& experts) {
    const auto bind = [&](std::string_view suffix) {
      return vector(layer_name(index, suffix), config_.d_model);
    };
    if (architecture_.routing == Routing::kSigmoid) {
      const std::string bias = layer_name(index, "exp_probs_b.bias");
      HEARTH_TRY(experts.choice_bias, vector(bias, config_.n_experts));
    }
    if (architecture_.shared_expert == SharedExpert::kGated) {
      HEARTH_TRY(experts.shared_gate, bind("ffn_gate_inp_shexp.weight"));
    }
    if (architecture_.shared_expert != SharedExpert::kDenseBlock) return {};
    HEARTH_TRY(experts.router_norm, bind("ffn_gate_inp.scale"));
    HEARTH_TRY(experts.norm, bind("pre_ffw_norm_2.weight"));
    HEARTH_TRY(experts.post_norm, bind("post_ffw_norm_2.weight"));
    HEARTH_TRY(experts.shared_post_norm, bind("post_ffw_norm_1.weight"));
    const std::string scale = layer_name(index, "ffn_down_exps.scale");
    if (optional(scale) == nullptr) return {};
    HEARTH_TRY(experts.scale, vector(scale, config_.n_experts));
    return {};
  }

  template <class Owner, std::size_t kRows>
  Result<> bind_matrices(std::uint32_t index, const std::array<MatrixRow<Owner>, kRows>& rows,
                         Owner& owner, std::uint32_t n_parts = 0) {
    for (const MatrixRow<Owner>& row : rows) {
      HEARTH_TRY(const TensorInfo* const info, required(layer_name(index, row.suffix)));
      HEARTH_TRY(owner.*row.slot,
                 as_matrix(*info, extent(row.rows, config_, config_.layers[index]),
                           extent(row.cols, config_, config_.layers[index]), n_parts));
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
      HEARTH_TRY(owner.*row.slot, as_vector(*info, extent(row.size, config_, config_.layers[index]),
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
       {layer.conv_in, layer.mamba.gate, layer.mamba.mixed, layer.mamba.rates, layer.delta.qkv, layer.delta.gate, layer.delta.beta, layer.delta.alpha,
        layer.q, layer.k, layer.v, layer.attn_out, layer.gate, layer.up, layer.down,
        layer.experts.router, layer.experts.gate, layer.experts.up, layer.experts.down,
        layer.inputs_gate, layer.inputs_out}) {
    if (matrix.data != nullptr) matrices.push_back(matrix);
  }
  return matrices;
}

Result<Weights> bind_weights(const GgufFile& file, const Architecture& architecture,
                             ModelConfig& config) {
  return Binder(file, architecture, config).run();
}

}  // namespace hearth::model

// A model's tensors, bound by name with every shape checked: what the forward pass reads.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "model/architecture_table.h"
#include "model/model.h"
#include "tensor/matmul.h"

namespace hearth::model {

// A borrowed vector of float32; null where the model has none.
using VecView = const float*;

// A mixture of experts.  A matrix holds all experts' rows one after another; expert e's are
// `expert_rows`.
struct ExpertWeights {
  tensor::MatView router;                          // [n_experts, d_model]
  VecView router_bias = nullptr;                   // [n_experts]
  VecView choice_bias = nullptr;                   // [n_experts], of scores by which they're chosen.
  // [n_experts * d_ff_expert, d_model] each; where they are one matrix `gate`, in which an expert's
  // gate comes before its up, `up` is empty; where there are no gates, `gate` is.
  tensor::MatView gate, up;
  tensor::MatView down;                            // [n_experts * d_model, d_ff_expert]
  VecView gate_bias = nullptr, up_bias = nullptr;  // [n_experts * d_ff_expert]
  VecView down_bias = nullptr;                     // [n_experts * d_model]
  VecView scale = nullptr;                         // [n_experts], of what each adds.
  // Of a router and experts that do not take what the layer's feed-forward block takes: [d_model].
  VecView router_norm = nullptr, norm = nullptr;
  VecView post_norm = nullptr, shared_post_norm = nullptr;  // Of what experts and that block add.
  VecView shared_gate = nullptr;                            // [d_model]
};

// A gated delta net.
struct DeltaNetWeights {
  tensor::MatView qkv;          // [channels, d_model]: queries and keys of key heads, values.
  tensor::MatView gate;         // [value_width, d_model]
  tensor::MatView beta, alpha;  // [n_value_heads, d_model]; where they are one, alpha is empty.
  VecView conv = nullptr;       // [channels, conv_width]
  VecView dt_bias = nullptr;    // [n_value_heads], of alpha.
  VecView a = nullptr;          // [n_value_heads], below 0: how fast a head forgets.
  VecView norm = nullptr;       // [state_size], of a head's output.
};

// A Mamba-2 layer.
struct MambaWeights {
  // [d_inner, d_model], [channels, d_model] and [n_heads, d_model]: parts of one matrix.
  tensor::MatView gate, mixed, rates;
  VecView conv = nullptr;       // [channels, conv_width]
  VecView conv_bias = nullptr;  // [channels]
  VecView dt_bias = nullptr;    // [n_heads], of rates.
  VecView a = nullptr;          // [n_heads], below 0: how fast a head forgets.
  VecView d = nullptr;          // [n_heads]: how much of its value passes by the state.
  VecView norm = nullptr;       // [d_inner], of each group's output.
};

// One decoder layer.  Matrices are [rows, cols] as in W [out, in].
struct LayerWeights {
  VecView attn_norm = nullptr;  // [d_model]; null, and so ffn_norm, where inputs are not normed.
  // [n_heads * head_dim, d_model], [n_kv_heads * head_dim, d_model] x 2; where attention is gated,
  // q has each head's query and then its gate.
  tensor::MatView q, k, v;
  VecView q_bias = nullptr, k_bias = nullptr, v_bias = nullptr;
  VecView q_norm = nullptr, k_norm = nullptr;  // [head_dim], or of whole rows.
  tensor::MatView attn_out;                    // [d_model, n_heads * head_dim]
  VecView attn_out_bias = nullptr;
  // Of layers that are convolutions, beside attn_out: [3 * d_model, d_model] and, the newest token
  // last, [d_model, conv_width].
  tensor::MatView conv_in;
  VecView conv = nullptr;
  VecView sinks = nullptr;                                    // [n_heads]
  VecView post_attn_norm = nullptr, post_ffn_norm = nullptr;  // [d_model], of blocks' outputs.
  VecView ffn_norm = nullptr;                                 // [d_model]
  // The feed-forward block of all tokens, alone or beside experts: [d_ff, d_model].  `gate` is empty
  // where the activation needs none.
  tensor::MatView gate, up;
  VecView gate_bias = nullptr, up_bias = nullptr;
  tensor::MatView down;  // [d_model, d_ff]
  VecView down_bias = nullptr;
  DeltaNetWeights delta;  // Instead of q, k and v where the layer is one.
  MambaWeights mamba;
  ExpertWeights experts;
  // The layer's part of the second embedding: its gate [d_per_layer, d_model], what brings it back
  // [d_model, d_per_layer], and that one's norm [d_model].
  tensor::MatView inputs_gate, inputs_out;
  VecView inputs_norm = nullptr;
  VecView output_scale = nullptr;  // [1]
};

// Every matrix of a layer that is there.
std::vector<tensor::MatView> matrices_of(const LayerWeights& layer);

struct Weights {
  tensor::MatView embedding;      // [n_vocab, d_model]
  tensor::MatView output;         // [n_vocab, d_model]; the embedding where the two are tied.
  VecView output_norm = nullptr;  // [d_model]
  tensor::MatView classifier;     // [n_labels, d_model] of files that rank.
  // [rope_dim / 2] divides each pair's frequency (llama 3, longrope).
  VecView rope_factors = nullptr;
  // The second embedding [n_vocab, n_layers * d_per_layer], what is added to it of the first
  // [n_layers * d_per_layer, d_model], and that one's norm [d_per_layer].
  tensor::MatView inputs_embedding, inputs_projection;
  VecView inputs_norm = nullptr;
  std::vector<LayerWeights> layers;
};

// Binds `file`'s tensors to `config`'s shapes; the views borrow the file's bytes.  Sets
// config.n_vocab from the embedding's rows.
//
// kCorrupt for a missing tensor or a wrong shape ("tensor 'blk.3.attn_q.weight': [4096, 4096]
// expected, [1024, 4096] found"); kUnsupported for a type without kernels and for a tensor that
// this build would ignore, since ignoring one gives wrong answers.
Result<Weights> bind_weights(const gguf::GgufFile& file, const Architecture& architecture,
                             ModelConfig& config);

}  // namespace hearth::model

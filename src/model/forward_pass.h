// One sweep over the weights for all tokens of a batch: internal to this room.
//
// The tokens of all segments lie one after another in every scratch matrix, so that each
// weight is read once per batch whatever the mix of prefill and decode.  Only attention
// looks at segments: a tile is a run of a segment's tokens, and each (tile, key-value head)
// is one task.  The last layer that keeps something for later tokens computes, beyond that, only
// the rows whose logits were asked for, and so do those behind it.
//
// The steps live in forward.cpp (embedding, logits), forward_attention.cpp,
// forward_convolution.cpp, forward_recurrent.cpp (what layers with a state share),
// forward_delta_net.cpp, forward_mamba.cpp, forward_ffn.cpp, forward_experts.cpp,
// forward_inputs.cpp (embeddings for each layer) and forward_adapters.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "model/forward_scratch.h"
#include "model/loaded_model.h"
#include "tensor/matmul.h"

namespace hearth::model {

// Threading: one call of `run`, on one thread, which shares work with `pool`.
class ForwardPass {
 public:
  ForwardPass(const LoadedModel& model, std::span<const Segment> batch, ForwardScratch::State& s,
              ThreadPool& pool);
  void run();

 private:
  static constexpr std::uint32_t kRowGrain = 8;  // Rows of one task in row-wise steps.

  // Calls row(i) for each i < n_rows, in parallel where that pays.
  template <class Row>
  void for_rows(std::uint32_t n_rows, Row&& row) {
    if (n_rows <= kRowGrain) {
      for (std::uint32_t i = 0; i < n_rows; ++i) row(i);
      return;
    }
    pool_.run((n_rows + kRowGrain - 1) / kRowGrain, [&](std::uint32_t task) {
      const std::uint32_t end = std::min((task + 1) * kRowGrain, n_rows);
      for (std::uint32_t i = task * kRowGrain; i < end; ++i) row(i);
    });
  }

  float* x_row(std::uint32_t i) const { return s_.x.data() + std::size_t{i} * config_.d_model; }
  float* normed_row(std::uint32_t i) const {
    return s_.normed.data() + std::size_t{i} * config_.d_model;
  }
  float* q_row(std::uint32_t i) const { return s_.q.data() + std::size_t{i} * q_width_; }
  float* attended_row(std::uint32_t i) const {
    return s_.attended.data() + std::size_t{i} * attended_width_;
  }
  // The angles of a token of the batch by which a layer turns heads; null where it does not.
  const float* angles_of(std::uint32_t token, RopeTable table) const;

  void enter_layer(std::uint32_t layer);
  // A layer's two halves before its output: for all rows, and for those that are kept.
  void read_and_store(const LayerWeights& w, std::uint32_t layer);
  void mix_tokens(const LayerWeights& w, std::uint32_t layer);

  // Embedding and logits.
  void place_tokens();
  bool wait_for_row(const tensor::MatView& w, std::uint32_t row);
  bool embed();  // False if a row can't be read.
  std::uint32_t n_logit_rows() const;
  void keep_logit_rows();
  void write_logits();
  void finish_logits(float* logits, std::uint32_t n);

  // Steps that blocks share.
  void norm_rows(const float* norm);
  void prepare_normed(const float* norm, std::initializer_list<tensor::DType> types);
  void prepare(const float* rows, std::uint32_t width, std::initializer_list<tensor::DType> types,
               std::uint32_t n_rows);
  // y [n_rows, w.rows] = prepared activations · w^T + bias.
  tensor::Product product(const tensor::MatView& w, const float* bias, float* y) const {
    return {.w = w, .bias = bias, .y = y, .y_stride = w.rows, .n_tokens = n_rows_};
  }
  // Computes `products`, while what is read `next` is fetched.
  void multiply(std::initializer_list<tensor::Product> products,
                std::initializer_list<tensor::MatView> next) {
    tensor::matmul(std::span(products.begin(), products.size()), s_.activations, pool_,
                   std::span(next.begin(), next.size()));
  }
  // x += a block's output, which lies in `normed`; normed first where `norm` is not null, and
  // scaled.
  void add_to_residual(const float* norm);

  // Attention.
  void project_qkv(const LayerWeights& w);
  void split_gates();
  void gate_attended();
  void norm_heads(float* heads, std::uint32_t n_heads, const float* norm);
  void turn_heads(float* heads, std::uint32_t n_heads, const float* angles);
  void grow_query(float* query, std::uint32_t position);
  void rotate_and_store(const LayerWeights& w);
  void store_row(std::uint32_t i, const float* keys, const float* values);
  // Which rows of the batch are computed on: all, of these those with logits, or only they are left.
  enum class Rows : std::uint8_t { kAll, kWithLogits, kKept };
  void plan_tiles(Rows rows);
  void attend_tiles(const LayerWeights& w);
  void attend_tile(const LayerWeights& w, const Tile& tile, std::uint32_t kv_head);
  void add_attention(const LayerWeights& w);

  // Convolution.
  void project_and_store_convolution(const LayerWeights& w, std::uint32_t layer);
  void convolve(const LayerWeights& w, std::uint32_t layer);
  void convolve_token(const float* kernel, const TokenPlace& place, std::uint32_t memory,
                      float* out) const;

  // Layers with a state of their own, of sessions: delta nets and Mamba-2.
  struct ChannelMix {
    const float* conv = nullptr;  // [channels, width]
    const float* bias = nullptr;  // [channels], or null.
    std::uint32_t channels = 0;
    std::uint32_t width = 0;
    std::size_t state_floats = 0;  // Of one layer's state, which ends with the inputs kept.
  };
  float* recurrent_state(std::size_t state_floats, std::uint32_t segment) const;
  std::uint32_t first_row(std::uint32_t segment) const;
  void mix_channels(const ChannelMix& mix);
  void mix_channels_of(const ChannelMix& mix, std::uint32_t segment, std::uint32_t first);
  void run_delta_net(const LayerWeights& w);
  void run_delta_head(const DeltaNetWeights& net, std::uint32_t segment, std::uint32_t head);
  void run_mamba(const LayerWeights& w);
  void run_mamba_head(const MambaWeights& mamba, std::uint32_t segment, std::uint32_t head);

  // Feed-forward.
  // `next`: the layer that follows; null after the last.
  void add_feed_forward(const LayerWeights& w, const LayerWeights* next);
  void run_block(const LayerWeights& w, std::initializer_list<tensor::MatView> next, float* out);
  void activate(std::uint32_t n_rows, std::uint32_t width);
  void mix_experts(const LayerWeights& w);
  void finish_shared(const ExpertWeights& w);
  void sum_experts(const ExpertWeights& w);
  void choose_experts(const ExpertWeights& w);
  void weigh(const ExpertWeights& w, std::span<ExpertVisit> chosen) const;
  void run_experts(const ExpertWeights& w, std::span<const ExpertVisit> visits);
  void add_mixed(std::span<const ExpertVisit> visits);

  // Embeddings for each layer.
  void embed_inputs();
  float* inputs_row(std::uint32_t i) const;
  void add_inputs(const LayerWeights& w);
  void scale_output(const LayerWeights& w);

  // Adapters.
  struct Adapted {  // What a product gave for rows [first, first + n): y [n, width].
    AdapterSlot slot;
    float* y;
    std::uint32_t width;
    std::uint32_t first = 0;
    std::uint32_t n_rows = UINT32_MAX;
  };
  void plan_adapters(bool logits_only);
  void add_adapted_rows(std::uint32_t round, bool logits_only);
  void group_adapted_rows(std::size_t first);
  // Adds the adapters' updates for the inputs x [n_rows_, width] to the outputs.
  void adapt(const float* x, std::uint32_t width, std::initializer_list<Adapted> outs);
  void adapt_round(std::span<const AdaptedGroup> groups, const float* x, std::uint32_t width,
                   std::span<const Adapted> outs);
  void adapt_split(std::span<const AdaptedGroup> groups, const float* x, std::uint32_t width,
                   std::span<const Adapted> outs);
  void adapt_embedding(const Segment& segment, std::uint32_t i, float* x) const;
  void reduce(const AdaptedGroup& group, const LowRank& pair, const float* x, std::uint32_t first,
              std::uint32_t n, float* inner) const;
  void expand(const AdaptedGroup& group, const LowRank& pair, const float* inner,
              std::uint32_t first, std::uint32_t n, const Adapted& out) const;

  const LoadedModel& model_;
  PageStream::Pass pass_;
  const ModelConfig& config_;
  const KvLayout layout_;
  const std::span<const Segment> batch_;
  ForwardScratch::State& s_;
  ThreadPool& pool_;
  // Of the layer that is being computed.
  const LayerPlan* plan_ = nullptr;
  KvLayout heads_;
  std::uint32_t q_width_ = 0;
  std::uint32_t kv_width_ = 0;
  std::uint32_t attended_width_ = 0;
  // Rows that are computed on: all tokens, at the end those with logits.
  std::uint32_t n_rows_ = 0;
  Rows tile_rows_ = Rows::kAll;
  std::uint32_t n_tiles_ = 0;
  std::uint32_t layer_ = 0;  // That is computed on.
  std::size_t angles_stride_ = 0;  // Floats of one token's angles,
  std::size_t inputs_width_ = 0;   // and of its inputs to all layers.
};

}  // namespace hearth::model

// One sweep over the weights for all tokens of a batch.
//
// The tokens of all segments lie one after another in every scratch matrix, so that each
// weight is read once per batch whatever the mix of prefill and decode.  Only attention
// looks at segments: a tile is a run of a segment's tokens, and each (tile, key-value head)
// is one task.  The last layer computes, beyond its keys and values, only the rows whose
// logits were asked for.
#include "model/forward.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <vector>

#include "model/attention.h"
#include "model/config.h"
#include "model/loaded_model.h"
#include "model/rope.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

using tensor::F16;
using tensor::MatView;

constexpr std::size_t kAlignment = 64;  // A cache line, and the widest vector.

// Floats that are taken once and kept; contents are not preserved when they grow.
class FloatBuffer {
 public:
  bool reserve(std::size_t n) {
    if (n <= capacity_) return true;
    void* const memory =
        ::operator new(n * sizeof(float), std::align_val_t{kAlignment}, std::nothrow);
    if (memory == nullptr) return false;
    data_.reset(static_cast<float*>(memory));
    capacity_ = n;
    std::fill_n(data_.get(), n, 0.0F);  // Touches the pages now rather than in the first pass.
    return true;
  }
  float* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* p) const { ::operator delete(p, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<float, Free> data_;
  std::size_t capacity_ = 0;
};

// Where a token of the batch belongs.
struct TokenPlace {
  std::uint32_t position = 0;
  std::byte* page = nullptr;  // Where its keys and values go.
};

// A run of one segment's tokens whose attention is one task per key-value head.
struct Tile {
  std::uint32_t segment = 0;
  std::uint32_t first = 0;  // Token in the batch.
  std::uint32_t n_tokens = 0;
};

}  // namespace

struct ForwardScratch::State {
  std::uint32_t n_tokens_max = 0;
  FloatBuffer x;         // [n_tokens, d_model] the residual stream.
  FloatBuffer normed;    // [n_tokens, d_model] its norm, then a block's output.
  FloatBuffer q;         // [n_tokens, n_heads * head_dim]
  FloatBuffer k, v;      // [n_tokens, n_kv_heads * head_dim]
  FloatBuffer attended;  // [n_tokens, n_heads * head_dim]
  FloatBuffer gate, up;  // [n_tokens, d_ff]
  FloatBuffer angles;    // [n_tokens, 2, rope_dim / 2]
  tensor::Activations activations;
  std::vector<TokenPlace> places;
  std::vector<Tile> tiles;
};

ForwardScratch::ForwardScratch() : state_(std::make_unique<State>()) {}
ForwardScratch::~ForwardScratch() = default;

Result<> ForwardScratch::reserve(const Model& model, std::uint32_t n_tokens_max) {
  State& s = *state_;
  const ModelConfig& c = model.config();
  const std::uint32_t n_tokens = std::max(n_tokens_max, s.n_tokens_max);
  const std::size_t n = n_tokens;
  const std::size_t q_width = std::size_t{c.n_heads} * c.head_dim;
  const std::size_t kv_width = std::size_t{c.n_kv_heads} * c.head_dim;
  const bool fits =
      s.x.reserve(n * c.d_model) && s.normed.reserve(n * c.d_model) && s.q.reserve(n * q_width) &&
      s.k.reserve(n * kv_width) && s.v.reserve(n * kv_width) && s.attended.reserve(n * q_width) &&
      s.gate.reserve(n * c.d_ff) && s.up.reserve(n * c.d_ff) && s.angles.reserve(n * c.rope_dim);
  if (!fits) {
    return fail(Code::kOutOfBudget, "no memory for the forward pass of '" + c.name +
                                        "' with batches of " + std::to_string(n_tokens) +
                                        " tokens: use a smaller prefill chunk");
  }
  s.places.resize(n);
  s.tiles.resize(n);
  s.n_tokens_max = n_tokens;
  // A rehearsal lets the activations take their memory too.
  ThreadPool alone(1);
  for (const std::size_t width : {std::size_t{c.d_model}, q_width, std::size_t{c.d_ff}}) {
    const float* const zeros = width == c.d_ff    ? s.gate.data()
                               : width == q_width ? s.q.data()
                                                  : s.x.data();
    s.activations.assign(zeros, width, n_tokens, static_cast<std::uint32_t>(width),
                         loaded(model).weight_types(), alone);
  }
  return {};
}

namespace {

class ForwardPass {
 public:
  ForwardPass(const LoadedModel& model, std::span<const Segment> batch, ForwardScratch::State& s,
              ThreadPool& pool)
      : model_(model),
        config_(model.config()),
        layout_(model.kv_layout()),
        batch_(batch),
        s_(s),
        pool_(pool),
        q_width_(config_.n_heads * config_.head_dim),
        kv_width_(config_.n_kv_heads * config_.head_dim) {}

  void run() {
    place_tokens();
    embed();
    plan_tiles(/*logits_only=*/false);
    const std::uint32_t last = config_.n_layers - 1;
    for (std::uint32_t layer = 0; layer <= last; ++layer) {
      const LayerWeights& weights = model_.weights().layers[layer];
      project_qkv(weights);
      rotate_and_store(weights, layer);
      if (layer == last) {
        plan_tiles(/*logits_only=*/true);
        if (n_tiles_ == 0) return;  // Nobody asked for logits: keys and values were all.
      }
      attend_tiles(layer);
      if (layer == last) keep_logit_rows();
      add_attention(weights);
      add_feed_forward(weights);
    }
    write_logits();
  }

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
    return s_.attended.data() + std::size_t{i} * q_width_;
  }

  void place_tokens() {
    for (const Segment& segment : batch_) {
      const auto n = static_cast<std::uint32_t>(segment.tokens.size());
      HEARTH_CHECK(n > 0 && n <= s_.n_tokens_max - n_rows_ && segment.n_logits <= n);
      HEARTH_CHECK((segment.position + n - 1) / kPageTokens < segment.pages.size());
      for (std::uint32_t i = 0; i < n; ++i) {
        const std::uint32_t position = segment.position + i;
        s_.places[n_rows_ + i] = {position, segment.pages[position / kPageTokens]};
        rope_angles(model_.rope_frequencies(), position,
                    s_.angles.data() + std::size_t{n_rows_ + i} * config_.rope_dim);
      }
      n_rows_ += n;
    }
  }

  void embed() {
    std::uint32_t row = 0;
    for (const Segment& segment : batch_) {
      for (const text::TokenId token : segment.tokens) {
        HEARTH_CHECK(token >= 0 && static_cast<std::uint32_t>(token) < config_.n_vocab);
        tensor::dequantize_row(model_.weights().embedding, static_cast<std::uint32_t>(token),
                               x_row(row++));
      }
    }
  }

  // Cuts each segment's tokens (or those whose logits are wanted) into tiles.
  void plan_tiles(bool logits_only) {
    const std::uint32_t group = config_.n_heads / config_.n_kv_heads;
    const std::uint32_t tile_tokens = std::max(kAttentionRowsMax / group, 1U);
    n_tiles_ = 0;
    std::uint32_t base = 0;
    for (std::uint32_t i = 0; i < batch_.size(); ++i) {
      const auto n = static_cast<std::uint32_t>(batch_[i].tokens.size());
      for (std::uint32_t at = logits_only ? n - batch_[i].n_logits : 0; at < n; at += tile_tokens) {
        s_.tiles[n_tiles_++] = {i, base + at, std::min(tile_tokens, n - at)};
      }
      base += n;
    }
  }

  void prepare_normed(const float* norm, std::initializer_list<tensor::DType> types) {
    for_rows(n_rows_, [&](std::uint32_t i) {
      tensor::rms_norm(x_row(i), norm, config_.d_model, config_.norm_eps, normed_row(i));
    });
    prepare(s_.normed.data(), config_.d_model, types);
  }

  void prepare(const float* rows, std::uint32_t width, std::initializer_list<tensor::DType> types) {
    s_.activations.assign(rows, width, n_rows_, width, std::span(types.begin(), types.size()),
                          pool_);
  }

  // y [n_rows, w.rows] = prepared activations · w^T + bias.
  void product(const MatView& w, const float* bias, float* y) {
    tensor::matmul(w, s_.activations, y, w.rows, pool_);
    if (bias == nullptr) return;
    for_rows(n_rows_,
             [&](std::uint32_t i) { tensor::add(bias, w.rows, y + std::size_t{i} * w.rows); });
  }

  void project_qkv(const LayerWeights& w) {
    prepare_normed(w.attn_norm, {w.q.type, w.k.type, w.v.type});
    product(w.q, w.q_bias, s_.q.data());
    product(w.k, w.k_bias, s_.k.data());
    product(w.v, w.v_bias, s_.v.data());
  }

  // Norms and turns a token's heads in place.
  void turn_heads(float* heads, std::uint32_t n_heads, const float* norm, const float* angles) {
    for (std::uint32_t h = 0; h < n_heads; ++h) {
      float* const head = heads + std::size_t{h} * config_.head_dim;
      if (norm != nullptr) {
        tensor::rms_norm(head, norm, config_.head_dim, config_.norm_eps, head);
      }
      rope_rotate(model_.architecture().rope_pairs, angles, config_.rope_dim / 2, head);
    }
  }

  void rotate_and_store(const LayerWeights& w, std::uint32_t layer) {
    for_rows(n_rows_, [&](std::uint32_t i) {
      const float* const angles = s_.angles.data() + std::size_t{i} * config_.rope_dim;
      float* const keys = s_.k.data() + std::size_t{i} * kv_width_;
      turn_heads(q_row(i), config_.n_heads, w.q_norm, angles);
      turn_heads(keys, config_.n_kv_heads, w.k_norm, angles);
      store_row(i, layer, keys, s_.v.data() + std::size_t{i} * kv_width_);
    });
  }

  // Writes a token's keys and values into its page.
  void store_row(std::uint32_t i, std::uint32_t layer, const float* keys, const float* values) {
    const TokenPlace& place = s_.places[i];
    const std::uint32_t slot = place.position % kPageTokens;
    const std::uint32_t head_dim = config_.head_dim;
    F16 column[kHeadDimMax];
    for (std::uint32_t h = 0; h < config_.n_kv_heads; ++h) {
      const std::size_t from = std::size_t{h} * head_dim;
      auto* const key_block = reinterpret_cast<F16*>(place.page + layout_.key_offset(layer, h));
      auto* const value_block = reinterpret_cast<F16*>(place.page + layout_.value_offset(layer, h));
      tensor::f16_from_f32(keys + from, head_dim, column);
      for (std::size_t d = 0; d < head_dim; ++d) key_block[d * kPageTokens + slot] = column[d];
      tensor::f16_from_f32(values + from, head_dim, value_block + std::size_t{slot} * head_dim);
    }
  }

  // The longest tiles come last in a segment and are handed out first, for an even end.
  void attend_tiles(std::uint32_t layer) {
    pool_.run(n_tiles_ * config_.n_kv_heads, [&](std::uint32_t task) {
      const Tile& tile = s_.tiles[n_tiles_ - 1 - task / config_.n_kv_heads];
      attend_tile(tile, layer, task % config_.n_kv_heads);
    });
  }

  void attend_tile(const Tile& tile, std::uint32_t layer, std::uint32_t kv_head) {
    const std::uint32_t group = config_.n_heads / config_.n_kv_heads;
    const AttentionHead head{.pages = batch_[tile.segment].pages,
                             .key_offset = layout_.key_offset(layer, kv_head),
                             .value_offset = layout_.value_offset(layer, kv_head),
                             .head_dim = config_.head_dim};
    const float scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim));
    // A group of more than kAttentionRowsMax heads takes several calls a token.
    const std::uint32_t n_rows = tile.n_tokens * group;
    std::array<AttentionRow, kAttentionRowsMax> rows;
    for (std::uint32_t done = 0; done < n_rows; done += kAttentionRowsMax) {
      const std::uint32_t n = std::min(n_rows - done, kAttentionRowsMax);
      for (std::uint32_t r = 0; r < n; ++r) {
        const std::uint32_t token = tile.first + (done + r) / group;
        const std::uint32_t q_head = kv_head * group + (done + r) % group;
        const std::size_t at = std::size_t{q_head} * config_.head_dim;
        rows[r] = {q_row(token) + at, attended_row(token) + at, s_.places[token].position + 1};
      }
      attend(std::span(rows).first(n), head, scale);
    }
  }

  // Moves the rows whose logits are wanted to the front; the others are done.
  void keep_logit_rows() {
    std::uint32_t kept = 0;
    std::uint32_t base = 0;
    for (const Segment& segment : batch_) {
      const auto n = static_cast<std::uint32_t>(segment.tokens.size());
      for (std::uint32_t i = base + n - segment.n_logits; i < base + n; ++i, ++kept) {
        if (i == kept) continue;
        std::copy_n(x_row(i), config_.d_model, x_row(kept));
        std::copy_n(attended_row(i), q_width_, attended_row(kept));
      }
      base += n;
    }
    n_rows_ = kept;
  }

  // x += normed, row by row.
  void add_to_residual() {
    for_rows(n_rows_,
             [&](std::uint32_t i) { tensor::add(normed_row(i), config_.d_model, x_row(i)); });
  }

  void add_attention(const LayerWeights& w) {
    prepare(s_.attended.data(), q_width_, {w.attn_out.type});
    product(w.attn_out, w.attn_out_bias, s_.normed.data());
    add_to_residual();
  }

  void add_feed_forward(const LayerWeights& w) {
    prepare_normed(w.ffn_norm, {w.gate.type, w.up.type});
    product(w.gate, w.gate_bias, s_.gate.data());
    product(w.up, w.up_bias, s_.up.data());
    for_rows(n_rows_, [&](std::uint32_t i) {
      const std::size_t at = std::size_t{i} * config_.d_ff;
      tensor::silu_mul(s_.gate.data() + at, s_.up.data() + at, config_.d_ff, s_.gate.data() + at);
    });
    prepare(s_.gate.data(), config_.d_ff, {w.down.type});
    product(w.down, w.down_bias, s_.normed.data());
    add_to_residual();
  }

  // Segments whose logits lie at equal distances are served by one product, so that the largest
  // matrix is read once; a caller with one buffer for the batch gets exactly one.
  void write_logits() {
    const MatView& output = model_.weights().output;
    for_rows(n_rows_, [&](std::uint32_t i) {
      tensor::rms_norm(x_row(i), model_.weights().output_norm, config_.d_model, config_.norm_eps,
                       normed_row(i));
    });
    std::uint32_t row = 0;
    for (std::size_t i = 0; i < batch_.size();) {
      if (batch_[i].n_logits == 0) {
        ++i;
        continue;
      }
      float* const start = batch_[i].logits;
      std::uint32_t n = 0;
      for (; i < batch_.size() && (batch_[i].n_logits == 0 ||
                                   batch_[i].logits == start + std::size_t{n} * config_.n_vocab);
           ++i) {
        n += batch_[i].n_logits;
      }
      s_.activations.assign(normed_row(row), config_.d_model, n, config_.d_model,
                            std::span(&output.type, 1), pool_);
      tensor::matmul(output, s_.activations, start, config_.n_vocab, pool_);
      row += n;
    }
  }

  const LoadedModel& model_;
  const ModelConfig& config_;
  const KvLayout layout_;
  const std::span<const Segment> batch_;
  ForwardScratch::State& s_;
  ThreadPool& pool_;
  const std::uint32_t q_width_;
  const std::uint32_t kv_width_;
  std::uint32_t n_rows_ =
      0;  // Rows that are computed on: all tokens, at the end those with logits.
  std::uint32_t n_tiles_ = 0;
};

}  // namespace

void forward(const Model& model, std::span<const Segment> batch, ForwardScratch& scratch,
             ThreadPool& pool) {
  if (batch.empty()) return;
  ForwardPass(loaded(model), batch, scratch.state(), pool).run();
}

}  // namespace hearth::model

// The attention block: projections, rotation, keys and values into pages, and attention in tiles.
#include <algorithm>
#include <array>
#include <cmath>

#include "model/attention.h"
#include "model/config.h"
#include "model/forward_pass.h"
#include "model/kv_page.h"
#include "model/rope.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

constexpr auto kOnes = [] {
  std::array<float, kHeadDimMax> ones{};
  ones.fill(1.0F);
  return ones;
}();

}  // namespace

void ForwardPass::project_qkv(const LayerWeights& w) {
  float* const queries = config_.gates_attention ? s_.query_gate.data() : s_.q.data();
  const tensor::Product of_queries{
      .w = w.q, .bias = w.q_bias, .y = queries, .y_stride = w.q.rows, .n_tokens = n_rows_};
  const Adapted adapted_queries{AdapterSlot::kQuery, queries, w.q.rows};
  const Adapted adapted_keys{AdapterSlot::kKey, s_.k.data(), kv_width_};
  if (plan_->borrows_kv) {
    prepare_normed(w.attn_norm, {w.q.type});
    multiply({of_queries}, {w.attn_out});
    adapt(s_.normed.data(), config_.d_model, {adapted_queries});
  } else if (w.v.data == nullptr) {
    prepare_normed(w.attn_norm, {w.q.type, w.k.type});
    multiply({of_queries, product(w.k, w.k_bias, s_.k.data())}, {w.attn_out});
    adapt(s_.normed.data(), config_.d_model, {adapted_queries, adapted_keys});
    std::copy_n(s_.k.data(), std::size_t{n_rows_} * kv_width_, s_.v.data());
  } else {
    prepare_normed(w.attn_norm, {w.q.type, w.k.type, w.v.type});
    multiply({of_queries, product(w.k, w.k_bias, s_.k.data()),
              product(w.v, w.v_bias, s_.v.data())},
             {w.attn_out});
    adapt(s_.normed.data(), config_.d_model,
          {adapted_queries, adapted_keys, {AdapterSlot::kValue, s_.v.data(), kv_width_}});
  }
  if (config_.gates_attention) split_gates();
}

// Each head's row is its query and then its gate: the queries go to q, the gates to the front.
void ForwardPass::split_gates() {
  const std::size_t n = plan_->head_dim;
  for_rows(n_rows_, [&](std::uint32_t i) {
    float* const both = s_.query_gate.data() + std::size_t{i} * 2 * q_width_;
    for (std::uint32_t h = 0; h < config_.n_heads; ++h) {
      std::copy_n(both + 2 * h * n, n, q_row(i) + h * n);
      std::copy_n(both + (2 * h + 1) * n, n, both + h * n);
    }
  });
}

void ForwardPass::gate_attended() {
  if (!config_.gates_attention) return;
  for_rows(n_rows_, [&](std::uint32_t i) {
    const float* const gates = s_.query_gate.data() + std::size_t{i} * 2 * q_width_;
    float* const out = attended_row(i);
    for (std::uint32_t d = 0; d < q_width_; ++d) out[d] /= 1.0F + std::exp(-gates[d]);
  });
}

// Norms a token's heads in place: each, or all as one row.
void ForwardPass::norm_heads(float* heads, std::uint32_t n_heads, const float* norm) {
  if (norm == nullptr) return;
  const std::uint32_t n_spans = config_.qk_norm_is_of_rows ? 1 : n_heads;
  const std::uint32_t size = n_heads / n_spans * plan_->head_dim;
  for (std::uint32_t i = 0; i < n_spans; ++i) {
    float* const span = heads + std::size_t{i} * size;
    tensor::rms_norm(span, norm, size, config_.norm_eps, span);
  }
}

void ForwardPass::turn_heads(float* heads, std::uint32_t n_heads, const float* angles) {
  if (angles == nullptr) return;
  const Rope& rope = model_.ropes()[static_cast<std::size_t>(plan_->rope)];
  const auto n_pairs = static_cast<std::uint32_t>(rope.frequencies.size());
  for (std::uint32_t h = 0; h < n_heads; ++h) {
    rope_rotate(model_.architecture().rope_pairs, angles, n_pairs,
                heads + std::size_t{h} * plan_->head_dim);
  }
}

void ForwardPass::grow_query(float* query, std::uint32_t position) {
  if (config_.attention_growth <= 0) return;
  const double spans = std::floor(static_cast<double>(position) / config_.rope.n_context_first);
  const auto factor = static_cast<float>(1.0 + static_cast<double>(config_.attention_growth) *
                                                   std::log(1.0 + spans));
  for (std::uint32_t d = 0; d < q_width_; ++d) query[d] *= factor;
}

void ForwardPass::rotate_and_store(const LayerWeights& w) {
  for_rows(n_rows_, [&](std::uint32_t i) {
    const float* const angles = angles_of(i, plan_->rope);
    norm_heads(q_row(i), config_.n_heads, w.q_norm);
    turn_heads(q_row(i), config_.n_heads, angles);
    grow_query(q_row(i), s_.places[i].position);
    if (plan_->borrows_kv) return;
    float* const keys = s_.k.data() + std::size_t{i} * kv_width_;
    float* const values = s_.v.data() + std::size_t{i} * kv_width_;
    norm_heads(keys, plan_->n_kv_heads, w.k_norm);
    turn_heads(keys, plan_->n_kv_heads, angles);
    if (model_.architecture().norms_values) norm_heads(values, plan_->n_kv_heads, kOnes.data());
    store_row(i, keys, values);
  });
}

// Writes a token's keys and values into its page.
void ForwardPass::store_row(std::uint32_t i, const float* keys, const float* values) {
  const TokenPlace& place = s_.places[i];
  const std::uint32_t slot = place.position % kPageTokens;
  const std::uint32_t index = plan_->kv_index;
  for (std::uint32_t h = 0; h < plan_->n_kv_heads; ++h) {
    const std::size_t from = std::size_t{h} * plan_->head_dim;
    store_key(heads_, keys + from, slot, place.page + layout_.key_offset(index, h));
    store_value(heads_, values + from, slot, place.page + layout_.value_offset(index, h));
  }
}

// Cuts each segment's tokens (or those whose logits are wanted) into tiles.
void ForwardPass::plan_tiles(Rows rows) {
  if (plan_->kind != LayerKind::kAttention) return;
  const std::uint32_t group = config_.n_heads / plan_->n_kv_heads;
  const std::uint32_t tile_tokens = std::max(kAttentionRowsMax / group, 1U);
  n_tiles_ = 0;
  std::uint32_t base = 0;
  for (std::uint32_t i = 0; i < batch_.size(); ++i) {
    const Segment& segment = batch_[i];
    const auto n = rows == Rows::kKept ? segment.n_logits
                                       : static_cast<std::uint32_t>(segment.tokens.size());
    std::uint32_t at = rows == Rows::kWithLogits ? n - segment.n_logits : 0;
    for (; at < n; at += tile_tokens) {
      s_.tiles[n_tiles_++] = {i, base + at, std::min(tile_tokens, n - at)};
    }
    base += n;
  }
}

// The longest tiles come last in a segment and are handed out first, for an even end.
void ForwardPass::attend_tiles(const LayerWeights& w) {
  const std::uint32_t n_kv_heads = plan_->n_kv_heads;
  pool_.run(n_tiles_ * n_kv_heads, [&](std::uint32_t task) {
    attend_tile(w, s_.tiles[n_tiles_ - 1 - task / n_kv_heads], task % n_kv_heads);
  });
}

void ForwardPass::attend_tile(const LayerWeights& w, const Tile& tile, std::uint32_t kv_head) {
  const std::uint32_t group = config_.n_heads / plan_->n_kv_heads;
  const std::uint32_t index = plan_->kv_index;
  const AttentionHead head{.pages = batch_[tile.segment].pages,
                           .key_offset = layout_.key_offset(index, kv_head),
                           .value_offset = layout_.value_offset(index, kv_head),
                           .layout = heads_};
  const AttentionScale scale{config_.query_scale, config_.attention_softcap};
  const std::uint32_t window = plan_->window;
  // A group of more than kAttentionRowsMax heads takes several calls a token.
  const std::uint32_t n_rows = tile.n_tokens * group;
  std::array<AttentionRow, kAttentionRowsMax> rows;
  for (std::uint32_t done = 0; done < n_rows; done += kAttentionRowsMax) {
    const std::uint32_t n = std::min(n_rows - done, kAttentionRowsMax);
    for (std::uint32_t r = 0; r < n; ++r) {
      const std::uint32_t token = tile.first + (done + r) / group;
      const std::uint32_t q_head = kv_head * group + (done + r) % group;
      const std::size_t at = std::size_t{q_head} * plan_->head_dim;
      const std::uint32_t n_visible = s_.places[token].position + 1;
      rows[r] = {.query = q_row(token) + at,
                 .out = attended_row(token) + at,
                 .n_visible = n_visible,
                 .first_visible = window > 0 && n_visible > window ? n_visible - window : 0,
                 .sink = w.sinks == nullptr ? kNoSink : w.sinks[q_head]};
    }
    attend(std::span(rows).first(n), head, scale);
  }
}

void ForwardPass::add_attention(const LayerWeights& w) {
  prepare(s_.attended.data(), attended_width_, {w.attn_out.type}, n_rows_);
  multiply({product(w.attn_out, w.attn_out_bias, s_.normed.data())}, {w.gate, w.up});
  adapt(s_.attended.data(), attended_width_,
        {{AdapterSlot::kAttentionOut, s_.normed.data(), config_.d_model}});
  add_to_residual(w.post_attn_norm);
}

}  // namespace hearth::model

#include "model/forward.h"

#include <algorithm>
#include <cstring>

#include "model/forward_pass.h"
#include "model/rope.h"
#include "tensor/vector_ops.h"

namespace hearth::model {

using tensor::MatView;

namespace {

void scale_by(float factor, float* x, std::size_t n) {
  if (factor == 1.0F) return;
  std::transform(x, x + n, x, [=](float v) { return v * factor; });
}

constexpr std::uint32_t kPanelRows = 16;  // Of packed matrices: tensor/pack.h.

// Where a row lies; of a packed matrix the whole panel that it is part of.
std::span<const std::byte> bytes_of_row(const MatView& w, std::uint32_t row) {
  const std::size_t row_bytes = w.bytes() / w.rows;
  const std::uint32_t n = w.layout == tensor::WeightLayout::kPacked ? kPanelRows : 1;
  const std::uint32_t first = row / n * n;
  return {w.data + first * row_bytes, std::min(n, w.rows - first) * row_bytes};
}

}  // namespace

ForwardPass::ForwardPass(const LoadedModel& model, std::span<const Segment> batch,
                         ForwardScratch::State& s, ThreadPool& pool)
    : model_(model),
      pass_(model.stream()),
      config_(model.config()),
      layout_(model.kv_layout()),
      batch_(batch),
      s_(s),
      pool_(pool) {}

// Each layer waits until its weights are in memory, once it is its turn.  Where they can't be read
// there are no logits, and the model says that it is damaged.
void ForwardPass::run() {
  place_tokens();
  plan_adapters(/*logits_only=*/false);
  if (!embed() || !pass_.wait_for(0U)) return;
  embed_inputs();
  const std::uint32_t last = config_.n_layers - 1;
  for (std::uint32_t layer = 0; layer <= last; ++layer) {
    const LayerWeights& weights = model_.weights().layers[layer];
    if (!pass_.wait_for(layer)) return;
    enter_layer(layer);
    read_and_store(weights, layer);
    const bool is_last_storing = layer == config_.last_storing_layer;
    if (is_last_storing) {
      if (n_logit_rows() == 0) return;  // What is kept for later tokens was all.
      plan_tiles(Rows::kWithLogits);
    }
    mix_tokens(weights, layer);
    if (is_last_storing) keep_logit_rows();
    if (plan_->kind != LayerKind::kNothing) add_attention(weights);
    add_feed_forward(weights, layer == last ? nullptr : &weights + 1);
    add_inputs(weights);
    scale_output(weights);
  }
  if (pass_.wait_for(config_.n_layers)) write_logits();
}

void ForwardPass::enter_layer(std::uint32_t layer) {
  layer_ = layer;
  plan_ = &config_.layers[layer];
  heads_ = layout_.of_layer(plan_->kv_index);
  q_width_ = config_.d_query(*plan_);
  kv_width_ = plan_->n_kv_heads * plan_->head_dim;
  attended_width_ = model_.weights().layers[layer].attn_out.cols;
  if (plan_->kind == LayerKind::kAttention) plan_tiles(tile_rows_);
}

// What later tokens of the sessions need of these: from here on no other row is asked for.
void ForwardPass::read_and_store(const LayerWeights& w, std::uint32_t layer) {
  switch (config_.layers[layer].kind) {
    case LayerKind::kAttention:
      project_qkv(w);
      return rotate_and_store(w);
    case LayerKind::kConvolution:
      return project_and_store_convolution(w, layer);
    case LayerKind::kDeltaNet:
      return run_delta_net(w);
    case LayerKind::kMamba:
      return run_mamba(w);
    case LayerKind::kNothing:
      return;
  }
}

// attended = what the layer takes from other tokens.
void ForwardPass::mix_tokens(const LayerWeights& w, std::uint32_t layer) {
  switch (config_.layers[layer].kind) {
    case LayerKind::kAttention:
      attend_tiles(w);
      return gate_attended();
    case LayerKind::kConvolution:
      return convolve(w, layer);
    case LayerKind::kDeltaNet:
    case LayerKind::kMamba:
    case LayerKind::kNothing:
      return;
  }
}

const float* ForwardPass::angles_of(std::uint32_t token, RopeTable table) const {
  if (table == RopeTable::kNone) return nullptr;
  const std::size_t at = std::size_t{token} * angles_stride_;
  return s_.angles.data() + at + static_cast<std::size_t>(table) * config_.rope_width();
}

void ForwardPass::place_tokens() {
  const std::span<const Rope> ropes = model_.ropes();
  angles_stride_ = ropes.size() * config_.rope_width();
  for (const Segment& segment : batch_) {
    const auto n = static_cast<std::uint32_t>(segment.tokens.size());
    HEARTH_CHECK(n > 0 && n <= s_.n_tokens_max - n_rows_ && segment.n_logits <= n);
    HEARTH_CHECK((segment.position + n - 1) / kPageTokens < segment.pages.size());
    if (layout_.state_bytes > 0) {
      HEARTH_CHECK(segment.state != nullptr);
      if (segment.position == 0) std::memset(segment.state, 0, layout_.state_bytes);
    }
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t position = segment.position + i;
      const std::uint32_t page = position / kPageTokens;
      s_.places[n_rows_ + i] = {position, segment.pages[page],
                                page > 0 ? segment.pages[page - 1] : nullptr};
      for (std::uint32_t table = 0; table < ropes.size(); ++table) {
        const std::size_t at = std::size_t{n_rows_ + i} * angles_stride_;
        rope_angles(ropes[table], position,
                    s_.angles.data() + at + std::size_t{table} * config_.rope_width());
      }
    }
    n_rows_ += n;
  }
}

bool ForwardPass::wait_for_row(const MatView& w, std::uint32_t row) {
  return w.data == nullptr || pass_.wait_for(bytes_of_row(w, row));
}

bool ForwardPass::embed() {
  std::uint32_t row = 0;
  for (const Segment& segment : batch_) {
    for (std::uint32_t i = 0; i < segment.tokens.size(); ++i) {
      const text::TokenId token = segment.tokens[i];
      HEARTH_CHECK(token >= 0 && static_cast<std::uint32_t>(token) < config_.n_vocab);
      const auto id = static_cast<std::uint32_t>(token);
      if (!wait_for_row(model_.weights().embedding, id)) return false;
      if (!wait_for_row(model_.weights().inputs_embedding, id)) return false;
      float* const x = x_row(row++);
      tensor::dequantize_row(model_.weights().embedding, id, x);
      adapt_embedding(segment, i, x);
      scale_by(config_.embedding_scale, x, config_.d_model);
    }
  }
  return true;
}

std::uint32_t ForwardPass::n_logit_rows() const {
  std::uint32_t n = 0;
  for (const Segment& segment : batch_) n += segment.n_logits;
  return n;
}

// Moves the rows whose logits are wanted to the front; the others are done.
void ForwardPass::keep_logit_rows() {
  std::uint32_t kept = 0;
  std::uint32_t base = 0;
  for (const Segment& segment : batch_) {
    const auto n = static_cast<std::uint32_t>(segment.tokens.size());
    for (std::uint32_t i = base + n - segment.n_logits; i < base + n; ++i, ++kept) {
      if (i == kept) continue;
      std::copy_n(x_row(i), config_.d_model, x_row(kept));
      std::copy_n(attended_row(i), attended_width_, attended_row(kept));
      s_.places[kept] = s_.places[i];
      std::copy_n(angles_of(i, RopeTable::kMain), angles_stride_,
                  s_.angles.data() + std::size_t{kept} * angles_stride_);
      if (config_.d_per_layer > 0) std::copy_n(inputs_row(i), inputs_width_, inputs_row(kept));
    }
    base += n;
  }
  n_rows_ = kept;
  tile_rows_ = Rows::kKept;
  plan_adapters(/*logits_only=*/true);
}

// normed = the rows, normed where `norm` is not null.
void ForwardPass::norm_rows(const float* norm) {
  for_rows(n_rows_, [&](std::uint32_t i) {
    if (norm == nullptr) {
      std::copy_n(x_row(i), config_.d_model, normed_row(i));
    } else {
      tensor::rms_norm(x_row(i), norm, config_.d_model, config_.norm_eps, normed_row(i));
    }
  });
}

void ForwardPass::prepare_normed(const float* norm, std::initializer_list<tensor::DType> types) {
  norm_rows(norm);
  prepare(s_.normed.data(), config_.d_model, types, n_rows_);
}

void ForwardPass::prepare(const float* rows, std::uint32_t width,
                          std::initializer_list<tensor::DType> types, std::uint32_t n_rows) {
  s_.activations.assign(rows, width, n_rows, width, std::span(types.begin(), types.size()), pool_);
}

void ForwardPass::add_to_residual(const float* norm) {
  for_rows(n_rows_, [&](std::uint32_t i) {
    if (norm != nullptr) {
      tensor::rms_norm(normed_row(i), norm, config_.d_model, config_.norm_eps, normed_row(i));
    }
    scale_by(config_.residual_scale, normed_row(i), config_.d_model);
    tensor::add(normed_row(i), config_.d_model, x_row(i));
  });
}

// Segments whose logits lie at equal distances are served by one product, so that the largest
// matrix is read once; a caller with one buffer for the batch gets exactly one.
void ForwardPass::write_logits() {
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
                                 batch_[i].logits == start + std::size_t{n} * config_.n_logits);
         ++i) {
      n += batch_[i].n_logits;
    }
    s_.activations.assign(normed_row(row), config_.d_model, n, config_.d_model,
                          std::span(&output.type, 1), pool_);
    tensor::matmul(output, s_.activations, start, config_.n_logits, pool_);
    adapt(s_.normed.data(), config_.d_model,
          {{AdapterSlot::kOutput, start, config_.n_logits, row, n}});
    finish_logits(start, n);
    row += n;
  }
}

// In parts, so that a vocabulary of 256,000 keeps all threads busy for one token, too.
void ForwardPass::finish_logits(float* logits, std::uint32_t n) {
  if (config_.logit_softcap <= 0 && config_.logit_scale == 1.0F) return;
  constexpr std::size_t kPart = 16384;
  const std::size_t size = std::size_t{n} * config_.n_logits;
  pool_.run(static_cast<std::uint32_t>((size + kPart - 1) / kPart), [&](std::uint32_t task) {
    const std::size_t at = task * kPart;
    const std::size_t n_part = std::min(kPart, size - at);
    scale_by(config_.logit_scale, logits + at, n_part);
    if (config_.logit_softcap > 0) tensor::softcap(logits + at, n_part, config_.logit_softcap);
  });
}

void forward(const Model& model, std::span<const Segment> batch, ForwardScratch& scratch,
             ThreadPool& pool) {
  if (batch.empty()) return;
  ForwardPass(loaded(model), batch, scratch.state(), pool).run();
}

}  // namespace hearth::model

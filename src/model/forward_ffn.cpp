// The feed-forward block: one for all tokens, or a mixture of experts.
//
// A token's experts are those with the largest logits of the router, weighed by the softmax of
// these (which is also what a softmax over all, cut to the largest and scaled to 1, gives).
// A token's sum is taken in the order of its experts' numbers, so that it is the same in every batch.
// Experts are run many at a time, each on the tokens that chose it: its weights are read at most
// once, and those that nobody chose are not touched.
#include <algorithm>
#include <array>
#include <cmath>

#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {

using tensor::MatView;

namespace {

using GatedActivation = void (*)(const float*, const float*, std::size_t, float*);

GatedActivation gated_activation(Activation activation) {
  switch (activation) {
    case Activation::kSiluMul:
      return tensor::silu_mul;
    case Activation::kGeluMul:
      return tensor::gelu_mul;
    case Activation::kClampedSwiglu:
      return tensor::clamped_swiglu;
  }
  return tensor::silu_mul;
}

constexpr std::size_t kExpertsAtOnce = tensor::kProductsMax / 2;  // Gate and up each.

// Where the visits of the expert end whose first is visits[first].
std::size_t end_of_expert(std::span<const ExpertVisit> visits, std::size_t first) {
  std::size_t end = first + 1;
  while (end < visits.size() && visits[end].expert == visits[first].expert) ++end;
  return end;
}

// One kind of matrix, of each expert that somebody visits.
class ExpertProducts {
 public:
  // Expert e's part of `all` are `n_rows` rows; row i of y belongs to visits[i].
  void add(const MatView& all, VecView biases, std::uint32_t n_rows,
           std::span<const ExpertVisit> visits, float* y) {
    for (std::size_t first = 0; first < visits.size();) {
      const std::size_t end = end_of_expert(visits, first);
      const std::uint32_t at = visits[first].expert * n_rows;
      products_[n_++] = {.w = tensor::row_range(all, at, n_rows),
                         .bias = biases == nullptr ? nullptr : biases + at,
                         .y = y + first * n_rows,
                         .y_stride = n_rows,
                         .first_token = static_cast<std::uint32_t>(first),
                         .n_tokens = static_cast<std::uint32_t>(end - first)};
      first = end;
    }
  }
  void clear() { n_ = 0; }
  std::span<const tensor::Product> all() const { return std::span(products_).first(n_); }

 private:
  std::size_t n_ = 0;
  std::array<tensor::Product, tensor::kProductsMax> products_;
};

// Weights of the chosen: the softmax of their logits, best first.
void weigh(std::span<ExpertVisit> chosen) {
  const float max = chosen.front().weight;
  float sum = 0;
  for (ExpertVisit& visit : chosen) sum += visit.weight = std::exp(visit.weight - max);
  for (ExpertVisit& visit : chosen) visit.weight /= sum;
}

}  // namespace

void ForwardPass::add_feed_forward(const LayerWeights& w, const LayerWeights* next) {
  if (config_.n_experts > 0) {
    prepare_normed(w.ffn_norm, {w.experts.router.type, w.experts.gate.type, w.experts.up.type});
    mix_experts(w.experts);
  } else {
    prepare_normed(w.ffn_norm, {w.gate.type, w.up.type});
    multiply({product(w.gate, w.gate_bias, s_.gate.data()),
              product(w.up, w.up_bias, s_.up.data())},
             {w.down});
    adapt(s_.normed.data(), config_.d_model,
          {{AdapterSlot::kGate, s_.gate.data(), config_.d_ff},
           {AdapterSlot::kUp, s_.up.data(), config_.d_ff}});
    activate(n_rows_, config_.d_ff);
    prepare(s_.gate.data(), config_.d_ff, {w.down.type}, n_rows_);
    const tensor::Product down = product(w.down, w.down_bias, s_.normed.data());
    if (next == nullptr) {
      multiply({down}, {model_.weights().output});
    } else {
      multiply({down}, {next->q, next->k, next->v, next->conv_in, next->delta.qkv});
    }
    adapt(s_.gate.data(), config_.d_ff,
          {{AdapterSlot::kDown, s_.normed.data(), config_.d_model}});
  }
  add_to_residual(w.post_ffn_norm);
}

// gate [n_rows, width] = the activation of gate and up.
void ForwardPass::activate(std::uint32_t n_rows, std::uint32_t width) {
  const GatedActivation combine = gated_activation(model_.architecture().activation);
  for_rows(n_rows, [&](std::uint32_t i) {
    float* const gate = s_.gate.data() + std::size_t{i} * width;
    combine(gate, s_.up.data() + std::size_t{i} * width, width, gate);
  });
}

// normed = the weighted sum of its experts' outputs.
void ForwardPass::mix_experts(const ExpertWeights& w) {
  choose_experts(w);
  std::fill_n(s_.mixed.data(), std::size_t{n_rows_} * config_.d_model, 0.0F);
  // As many experts at a time as there is room for.
  const std::span<const ExpertVisit> visits(s_.visits);
  const std::uint32_t n_visits_max = n_visits_at_once(config_, s_.n_tokens_max);
  for (std::size_t first = 0; first < visits.size();) {
    std::size_t end = first;
    for (std::size_t n_experts = 0; end < visits.size() && n_experts < kExpertsAtOnce; ++n_experts) {
      const std::size_t after = end_of_expert(visits, end);
      if (after - first > n_visits_max) break;
      end = after;
    }
    run_experts(w, visits.subspan(first, end - first));
    first = end;
  }
  std::copy_n(s_.mixed.data(), std::size_t{n_rows_} * config_.d_model, s_.normed.data());
}

// visits = who goes where, by expert and then by row.
void ForwardPass::choose_experts(const ExpertWeights& w) {
  multiply({product(w.router, w.router_bias, s_.routes.data())}, {});
  adapt(s_.normed.data(), config_.d_model,
        {{AdapterSlot::kRouter, s_.routes.data(), config_.n_experts}});
  s_.visits.clear();
  for (std::uint32_t row = 0; row < n_rows_; ++row) {
    const float* const logits = s_.routes.data() + std::size_t{row} * config_.n_experts;
    s_.choices.clear();
    for (std::uint32_t e = 0; e < config_.n_experts; ++e) s_.choices.push_back({e, row, logits[e]});
    const auto end = s_.choices.begin() + config_.n_experts_used;
    std::partial_sort(s_.choices.begin(), end, s_.choices.end(),
                      [](const ExpertVisit& a, const ExpertVisit& b) {
                        return a.weight != b.weight ? a.weight > b.weight : a.expert < b.expert;
                      });
    weigh(std::span(s_.choices.begin(), end));
    s_.visits.insert(s_.visits.end(), s_.choices.begin(), end);
  }
  std::ranges::sort(s_.visits, [](const ExpertVisit& a, const ExpertVisit& b) {
    return a.expert != b.expert ? a.expert < b.expert : a.row < b.row;
  });
}

// Adds some experts' outputs, each for the rows that chose it, to `mixed`.
void ForwardPass::run_experts(const ExpertWeights& w, std::span<const ExpertVisit> visits) {
  const auto n = static_cast<std::uint32_t>(visits.size());
  const std::uint32_t d_ff = config_.d_ff_expert;
  const std::uint32_t d_model = config_.d_model;
  for (std::uint32_t i = 0; i < n; ++i) {
    std::copy_n(normed_row(visits[i].row), d_model, s_.gathered.data() + std::size_t{i} * d_model);
  }
  prepare(s_.gathered.data(), d_model, {w.gate.type, w.up.type}, n);
  ExpertProducts products;
  products.add(w.gate, w.gate_bias, d_ff, visits, s_.gate.data());
  products.add(w.up, w.up_bias, d_ff, visits, s_.up.data());
  tensor::matmul(products.all(), s_.activations, pool_);
  activate(n, d_ff);
  prepare(s_.gate.data(), d_ff, {w.down.type}, n);
  products.clear();
  products.add(w.down, w.down_bias, d_model, visits, s_.gathered.data());
  tensor::matmul(products.all(), s_.activations, pool_);
  add_mixed(visits);
}

// mixed += the outputs in `gathered`, weighed.  Rows of one expert are different rows.
void ForwardPass::add_mixed(std::span<const ExpertVisit> visits) {
  const std::uint32_t d_model = config_.d_model;
  for (std::size_t first = 0; first < visits.size();) {
    const std::size_t end = end_of_expert(visits, first);
    for_rows(static_cast<std::uint32_t>(end - first), [&](std::uint32_t i) {
      const ExpertVisit& visit = visits[first + i];
      const float* const out = s_.gathered.data() + (first + i) * d_model;
      float* const mixed = s_.mixed.data() + std::size_t{visit.row} * d_model;
      for (std::uint32_t d = 0; d < d_model; ++d) mixed[d] += visit.weight * out[d];
    });
    first = end;
  }
}

}  // namespace hearth::model

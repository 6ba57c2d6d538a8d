// The feed-forward block: one for all tokens, or a mixture of experts.
//
// A token's experts are those with the largest logits of the router, weighed by the softmax of
// these (which is also what a softmax over all, cut to the largest and scaled to 1, gives).
// Experts are run one after another in the order of their numbers, each on the tokens that chose
// it, so that a token's sum has the same order in every batch and each expert's weights are
// read at most once; those that nobody chose are not touched.
#include <algorithm>
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

const float* bias_of(VecView biases, std::uint32_t expert, std::uint32_t size) {
  return biases == nullptr ? nullptr : biases + std::size_t{expert} * size;
}

// The rows of one expert.
MatView expert_rows(const MatView& all, std::uint32_t expert, std::uint32_t n_rows) {
  return tensor::row_range(all, expert * n_rows, n_rows);
}

// Weights of the chosen: the softmax of their logits, best first.
void weigh(std::span<ExpertVisit> chosen) {
  const float max = chosen.front().weight;
  float sum = 0;
  for (ExpertVisit& visit : chosen) sum += visit.weight = std::exp(visit.weight - max);
  for (ExpertVisit& visit : chosen) visit.weight /= sum;
}

}  // namespace

void ForwardPass::add_feed_forward(const LayerWeights& w) {
  if (config_.n_experts > 0) {
    prepare_normed(w.ffn_norm, {w.experts.router.type, w.experts.gate.type, w.experts.up.type});
    mix_experts(w.experts);
  } else {
    prepare_normed(w.ffn_norm, {w.gate.type, w.up.type});
    product(w.gate, w.gate_bias, s_.gate.data(), n_rows_);
    product(w.up, w.up_bias, s_.up.data(), n_rows_);
    adapt(s_.normed.data(), config_.d_model,
          {{AdapterSlot::kGate, s_.gate.data(), config_.d_ff},
           {AdapterSlot::kUp, s_.up.data(), config_.d_ff}});
    activate(n_rows_, config_.d_ff);
    prepare(s_.gate.data(), config_.d_ff, {w.down.type}, n_rows_);
    product(w.down, w.down_bias, s_.normed.data(), n_rows_);
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
  const std::span<const ExpertVisit> visits(s_.visits);
  for (std::size_t first = 0; first < visits.size();) {
    std::size_t end = first + 1;
    while (end < visits.size() && visits[end].expert == visits[first].expert) ++end;
    run_expert(w, visits.subspan(first, end - first));
    first = end;
  }
  std::copy_n(s_.mixed.data(), std::size_t{n_rows_} * config_.d_model, s_.normed.data());
}

// visits = who goes where, by expert and then by row.
void ForwardPass::choose_experts(const ExpertWeights& w) {
  product(w.router, w.router_bias, s_.routes.data(), n_rows_);
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

// Adds one expert's outputs for the rows that chose it to `mixed`.
void ForwardPass::run_expert(const ExpertWeights& w, std::span<const ExpertVisit> visits) {
  const std::uint32_t expert = visits.front().expert;
  const auto n = static_cast<std::uint32_t>(visits.size());
  const std::uint32_t d_ff = config_.d_ff_expert;
  const std::uint32_t d_model = config_.d_model;
  for (std::uint32_t i = 0; i < n; ++i) {
    std::copy_n(normed_row(visits[i].row), d_model, s_.gathered.data() + std::size_t{i} * d_model);
  }
  prepare(s_.gathered.data(), d_model, {w.gate.type, w.up.type}, n);
  product(expert_rows(w.gate, expert, d_ff), bias_of(w.gate_bias, expert, d_ff), s_.gate.data(), n);
  product(expert_rows(w.up, expert, d_ff), bias_of(w.up_bias, expert, d_ff), s_.up.data(), n);
  activate(n, d_ff);
  prepare(s_.gate.data(), d_ff, {w.down.type}, n);
  product(expert_rows(w.down, expert, d_model), bias_of(w.down_bias, expert, d_model),
          s_.gathered.data(), n);
  for_rows(n, [&](std::uint32_t i) {
    const float* const out = s_.gathered.data() + std::size_t{i} * d_model;
    float* const mixed = s_.mixed.data() + std::size_t{visits[i].row} * d_model;
    for (std::uint32_t d = 0; d < d_model; ++d) mixed[d] += visits[i].weight * out[d];
  });
}

}  // namespace hearth::model

// A mixture of experts, alone or beside a feed-forward block that every token takes.
//
// A token's experts are those with the largest logits of the router, weighed by the softmax of
// these (which is also what a softmax over all, cut to the largest and scaled to 1, gives); or
// those with the largest sigmoids and biases, weighed by their sigmoids.
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

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

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
  // Of each expert's `stride` rows of `all`, the n_rows from `offset` on; row i of y belongs to
  // visits[i].
  struct Part {
    std::uint32_t n_rows, stride, offset;
  };
  void add(const MatView& all, VecView biases, const Part& part,
           std::span<const ExpertVisit> visits, float* y) {
    const std::uint32_t n_rows = part.n_rows;
    for (std::size_t first = 0; first < visits.size();) {
      const std::size_t end = end_of_expert(visits, first);
      const std::uint32_t at = visits[first].expert * part.stride + part.offset;
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

}  // namespace

// normed = the weighted sum of each row's experts, and of the block that every row takes.
void ForwardPass::mix_experts(const LayerWeights& w) {
  const ExpertWeights& e = w.experts;
  const bool has_shared = plan_->d_ff > 0;
  prepare_normed(e.router_norm == nullptr ? w.ffn_norm : e.router_norm,
                 {e.router.type, has_shared && w.gate.data != nullptr ? w.gate.type : e.router.type,
                  has_shared ? w.up.type : e.router.type});
  choose_experts(e);
  if (has_shared) {
    if (e.router_norm != nullptr) prepare_normed(w.ffn_norm, {w.gate.type, w.up.type});
    run_block(w, {}, s_.shared.data());
    finish_shared(e);
  }
  if (e.norm != nullptr) norm_rows(e.norm);
  sum_experts(e);
  for_rows(n_rows_, [&](std::uint32_t i) {
    const std::size_t at = std::size_t{i} * config_.d_model;
    std::copy_n(s_.mixed.data() + at, config_.d_model, normed_row(i));
    if (e.post_norm != nullptr) {
      tensor::rms_norm(normed_row(i), e.post_norm, config_.d_model, config_.norm_eps,
                       normed_row(i));
    }
    if (has_shared) tensor::add(s_.shared.data() + at, config_.d_model, normed_row(i));
  });
}

// What the shared block adds is weighed by a gate, or normed, or neither.
void ForwardPass::finish_shared(const ExpertWeights& w) {
  if (w.shared_gate == nullptr && w.shared_post_norm == nullptr) return;
  const std::uint32_t n = config_.d_model;
  for_rows(n_rows_, [&](std::uint32_t i) {
    float* const row = s_.shared.data() + std::size_t{i} * n;
    if (w.shared_post_norm != nullptr) {
      tensor::rms_norm(row, w.shared_post_norm, n, config_.norm_eps, row);
    }
    if (w.shared_gate == nullptr) return;
    const float share = sigmoid(tensor::dot(normed_row(i), w.shared_gate, n));
    for (std::uint32_t d = 0; d < n; ++d) row[d] *= share;
  });
}

// mixed = the weighted sum of each row's experts.
void ForwardPass::sum_experts(const ExpertWeights& w) {
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
}

// visits = who goes where, by expert and then by row.
void ForwardPass::choose_experts(const ExpertWeights& w) {
  multiply({product(w.router, w.router_bias, s_.routes.data())}, {});
  adapt(s_.normed.data(), config_.d_model,
        {{AdapterSlot::kRouter, s_.routes.data(), config_.n_experts}});
  // A router with a norm of its own takes rows of length 1.
  const float scale =
      w.router_norm == nullptr ? 1.0F : 1.0F / std::sqrt(static_cast<float>(config_.d_model));
  s_.visits.clear();
  for (std::uint32_t row = 0; row < n_rows_; ++row) {
    const float* const logits = s_.routes.data() + std::size_t{row} * config_.n_experts;
    s_.choices.clear();
    for (std::uint32_t e = 0; e < config_.n_experts; ++e) {
      const float score = w.choice_bias == nullptr ? logits[e] * scale
                                                   : sigmoid(logits[e]) + w.choice_bias[e];
      s_.choices.push_back({e, row, score});
    }
    const auto end = s_.choices.begin() + config_.n_experts_used;
    std::partial_sort(s_.choices.begin(), end, s_.choices.end(),
                      [](const ExpertVisit& a, const ExpertVisit& b) {
                        return a.weight != b.weight ? a.weight > b.weight : a.expert < b.expert;
                      });
    weigh(w, std::span(s_.choices.begin(), end));
    s_.visits.insert(s_.visits.end(), s_.choices.begin(), end);
  }
  std::ranges::sort(s_.visits, [](const ExpertVisit& a, const ExpertVisit& b) {
    return a.expert != b.expert ? a.expert < b.expert : a.row < b.row;
  });
}

// Weights of the chosen, best first.
void ForwardPass::weigh(const ExpertWeights& w, std::span<ExpertVisit> chosen) const {
  constexpr float kSumMin = 6.103515625e-5F;  // The smallest normal half: where weights are sigmoids.
  const float max = chosen.front().weight;
  float sum = 0;
  for (ExpertVisit& visit : chosen) {
    visit.weight = w.choice_bias == nullptr ? std::exp(visit.weight - max)
                                            : visit.weight - w.choice_bias[visit.expert];
    sum += visit.weight;
  }
  if (w.choice_bias != nullptr) sum = std::max(sum, kSumMin);
  for (ExpertVisit& visit : chosen) {
    if (config_.norms_expert_weights) visit.weight /= sum;
    visit.weight *= config_.expert_scale;
    if (w.scale != nullptr) visit.weight *= w.scale[visit.expert];
  }
}

// Adds some experts' outputs, each for the rows that chose it, to `mixed`.
void ForwardPass::run_experts(const ExpertWeights& w, std::span<const ExpertVisit> visits) {
  const auto n = static_cast<std::uint32_t>(visits.size());
  const std::uint32_t d_ff = config_.d_ff_expert;
  const std::uint32_t d_model = config_.d_model;
  for (std::uint32_t i = 0; i < n; ++i) {
    std::copy_n(normed_row(visits[i].row), d_model, s_.gathered.data() + std::size_t{i} * d_model);
  }
  const bool is_fused = w.up.data == nullptr;
  const bool has_gate = w.gate.data != nullptr;
  prepare(s_.gathered.data(), d_model,
          {has_gate ? w.gate.type : w.up.type, is_fused ? w.gate.type : w.up.type}, n);
  ExpertProducts products;
  const std::uint32_t stride = is_fused ? 2 * d_ff : d_ff;
  if (has_gate) products.add(w.gate, w.gate_bias, {d_ff, stride, 0}, visits, s_.gate.data());
  products.add(is_fused ? w.gate : w.up, w.up_bias, {d_ff, stride, is_fused ? d_ff : 0}, visits,
               s_.up.data());
  tensor::matmul(products.all(), s_.activations, pool_);
  activate(n, d_ff);
  prepare(s_.gate.data(), d_ff, {w.down.type}, n);
  products.clear();
  products.add(w.down, w.down_bias, {d_model, d_model, 0}, visits, s_.gathered.data());
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

#include "advisor/gate/option_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "advisor/gate/option_signals.h"

namespace hearth::advisor::gate {
namespace {

constexpr TreeOptions kTrees = {.loss = Loss::kLogistic, .n_trees = 200, .leaves_max = 16, .step = 0.045, .l2 = 10, .feature_share = 0.3, .row_share = 0.5};

}  // namespace

Choice known_truth(const PairRow& row) {
  if (row.outcome.is_local_right) return row.asked.local;
  if (row.outcome.is_adviser_right) return row.outcome.adviser;
  return row.outcome.is_second_right ? row.asked.second : std::nullopt;
}

OptionModel OptionModel::fit(std::span<const PairRow* const> rows, std::span<const OptionRows* const> signals) {
  Table table;
  std::vector<float> targets;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Choice truth = known_truth(*rows[i]);
    if (!truth) continue;
    for (std::size_t option = 0; option < signals[i]->size(); ++option) {
      table.add((*signals[i])[option]);
      targets.push_back(option == *truth ? 1.0F : 0.0F);
    }
  }
  OptionModel made;
  if (!targets.empty()) made.trees_ = BoostedTrees::fit(table, targets, kTrees);
  return made;
}

Posterior OptionModel::posterior(const OptionRows& signals) const {
  Posterior scores;
  for (const std::vector<float>& row : signals) scores.push_back(trees_.predict(row));
  if (scores.empty()) return scores;
  const double most = *std::ranges::max_element(scores);
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - most);
  for (double& score : scores) score /= sum;
  return scores;
}

nlohmann::ordered_json OptionModel::to_json() const { return trees_.to_json(); }

Result<OptionModel> OptionModel::from_json(const nlohmann::ordered_json& json) {
  OptionModel made;
  HEARTH_TRY(made.trees_, BoostedTrees::from_json(json));
  const std::vector<std::vector<float>> sample = option_signals({.options = {""}}, 0.5);
  const std::size_t n = made.trees_.n_features();
  if (n == 0 || n == sample.front().size()) return made;
  return fail(Code::kCorrupt, fmt::format("stored trees: {} signals of an option, this Hearth has {}", n, sample.front().size()));
}

}  // namespace hearth::advisor::gate

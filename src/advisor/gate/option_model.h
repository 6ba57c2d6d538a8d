// Which option of a multiple-choice question is right, guessed from option_signals.h, the local answer
// and the second opinion.
//
// Boosted trees give each option a score; a softmax over a question's options makes them a posterior.
// The guess itself is worth little (the local model is better at that), but the probability that it leaves
// to the local model's choice tells wrong answers from right ones better than anything else that is known
// before the adviser is asked (docs/design/0020-when-to-ask.md).
#pragma once

#include <span>
#include <vector>

#include "advisor/gate/answer_signals.h"
#include "advisor/gate/boosted_trees.h"

namespace hearth::advisor::gate {

// The option that is known to be right, as far as somebody's answer was.
Choice known_truth(const PairRow& row);

// A question's option_signals, kept while several models are fitted on parts of the same rows.
using OptionRows = std::vector<std::vector<float>>;

// Threading: immutable once made.
class OptionModel {
 public:
  OptionModel() = default;  // Says of each option the same.

  // `rows` and `signals` go together; only questions whose truth is known count.
  static OptionModel fit(std::span<const PairRow* const> rows, std::span<const OptionRows* const> signals);

  // Empty for an open question.
  Posterior posterior(const OptionRows& signals) const;

  nlohmann::ordered_json to_json() const;
  static Result<OptionModel> from_json(const nlohmann::ordered_json& json);

 private:
  BoostedTrees trees_;
};

}  // namespace hearth::advisor::gate

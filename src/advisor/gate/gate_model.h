// What asking the adviser is worth, predicted from what is known before.
//
//   p_wrong   P(the local answer is wrong)
//   p_helps   P(the adviser is right | the local answer is wrong)
//   p_harms   P(the adviser is wrong | the local answer is right)
//   gain      p_wrong p_helps - (1 - p_wrong) p_harms
//
// A model that was never calibrated has the shipped priors: a logistic function of disagreement, length and
// repetition, and a table of kinds.  A calibrated one has trees for each of the three, fed with
// answer_signals.h and the posterior of option_model.h.  That posterior is a prediction too, so the trees
// are fitted on posteriors of rows that its own fit left out, as in all stacking (Wolpert 1992).
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "advisor/gate/answer_signals.h"
#include "advisor/gate/boosted_trees.h"
#include "advisor/gate/option_model.h"
#include "advisor/gate/pair_row.h"

namespace hearth::advisor::gate {

struct Verdict {
  double p_wrong = 0.5, p_helps = 0.5, p_harms = 0.1;
  double gain() const { return p_wrong * p_helps - (1 - p_wrong) * p_harms; }
};

// The rates of a kind that nobody has measured here: of MMLU-Pro's kinds by name, else of all of them.
KindRates shipped_rates(const std::string& kind);

// Threading: immutable once made.
class GateModel {
 public:
  static constexpr std::size_t kRowsMin = 300;  // Fewer leave nothing to hold out.

  GateModel() = default;  // The shipped priors.

  // kInvalidArgument for fewer than kRowsMin rows, or if one of the three cases never occurs.  Takes some
  // seconds for 6,000 rows.
  static Result<GateModel> fit(std::span<const PairRow* const> rows);

  Verdict judge(const Asked& asked) const;
  // What of such questions is known without the answer.
  KindRates rates(const std::string& kind) const;

  bool is_calibrated() const { return fitted_ != nullptr; }

  nlohmann::ordered_json to_json() const;  // null for the priors.
  static Result<GateModel> from_json(const nlohmann::ordered_json& json);

 private:
  struct Fitted {
    KindRates overall;
    std::map<std::string, KindRates> kinds;
    OptionModel options;
    BoostedTrees wrong, helps, harms;
  };
  std::shared_ptr<const Fitted> fitted_;
};

}  // namespace hearth::advisor::gate

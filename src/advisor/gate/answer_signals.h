// What a question, the local answer to it and a second opinion show of the answer's worth.
#pragma once

#include <vector>

#include "advisor/gate/pair_row.h"

namespace hearth::advisor::gate {

// Of the options: how probable each is to be the right one (option_model.h).  Empty for an open question.
using Posterior = std::vector<double>;

// How such questions went: shares of all (or, for the adviser's two, of those that the local model had wrong
// or right).
struct KindRates {
  double local_right = 0.5;
  double adviser_helps = 0.5;  // Right where the local model is wrong.
  double adviser_harms = 0.1;  // Wrong where the local model is right.
};

// One row of numbers, equally long for all questions.
std::vector<float> answer_signals(const Asked& asked, const Posterior& posterior, const KindRates& rates);

}  // namespace hearth::advisor::gate

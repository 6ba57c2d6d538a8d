// What somebody says of an answer, for the gate to learn from.
#pragma once

#include <string>

#include "advisor/gate/experience.h"
#include "base/result.h"
#include "hub/chat.h"

namespace hearth::cli {

struct NotedOutcome {
  hub::Receipt receipt;
  advisor::gate::Experienced outcome;
};

// Finds the receipt in the ledger and appends to the model's outcomes.  kNotFound: no such receipt;
// kUnsupported: nothing can be learned from its answer.
Result<NotedOutcome> note_outcome(const std::string& receipt_id, bool is_good);

std::string outcome_json(const NotedOutcome& noted);

}  // namespace hearth::cli

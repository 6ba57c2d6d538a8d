// An adviser that sees only what it may: the privacy policy judges each question by what it was made of
// and redaction replaces what is personal in its text, before the adviser behind it hears of either.
// Placeholders that come back in the advice become the values again, here and not elsewhere.
//
//   never      ends as kDenied: nothing leaves
//   ask        leaves with placeholders, and only if somebody agrees to the exact bytes
//   redacted   leaves with placeholders
//   free       leaves as it is
//
// The label says the class, the rule that gave it and how many values of which type were replaced; values
// never reach the ledger.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "advisor/adviser.h"
#include "advisor/memory/advice_store.h"
#include "hub/privacy_gate.h"

namespace hearth::hub {

// Where there is a `memory`, a question that may leave is first looked for there, and advice is kept there.
//
// Borrows `gate` and `memory`.  `providers`: whom a question may reach: what any of them may not have, none gets.
// Empty: the adviser's own.
//
// Threading: as Adviser's.
std::unique_ptr<advisor::Adviser> make_private(std::unique_ptr<advisor::Adviser> adviser, const PrivacyGate& gate,
                                               std::vector<std::string> providers = {},
                                               advisor::AdviceStore* memory = nullptr);

}  // namespace hearth::hub

// An adviser that hears only what the privacy policy lets it hear.
//
// It stands before another adviser, which reserves, records and sends as always.  Each question is
// judged by all that it was made of; one that may not leave is answered kDenied here, and one that may
// leave redacted gets placeholders for what privacy/redactor.h finds.  Advice that comes back has the
// values put in again; a placeholder that can't be put in is named in the answer's detail.  The ledger's
// rule says the class and how many values of which type were replaced, never the values.
//
// All of that happens on a thread of its own, and only for questions that are about to leave: an answer
// without advice pays nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "advisor/adviser.h"
#include "privacy/policy.h"
#include "privacy/redactor.h"

namespace hearth::hub {

struct PrivacyOptions {
  privacy::Policy policy = privacy::Policy::standard();
  privacy::Dictionary dictionary = {};
  // Whom a question may reach: what any of them may not have, none gets.  Empty: the adviser's own.
  std::vector<std::string> providers = {};
};

// Threading: as Adviser's.
std::unique_ptr<advisor::Adviser> make_private(std::unique_ptr<advisor::Adviser> adviser,
                                               PrivacyOptions options);

}  // namespace hearth::hub

// Whether an answer gets advice: the rules as pure functions, so that each row of the
// table below can be tested without a model or a network.
//
//   advice may be asked for   only if an adviser is configured, the request's model is
//                             not "local", its mode is not "never", it is a chat, and
//                             one choice was asked for
//   it is asked for           in mode "always", or when a rule of [advice] says so
//                             (advisor/gate/ask_policy.h)
//
// Privacy fails closed: a request that names a model of this machine and says nothing
// about advice is never sent away; only "auto" takes the configuration's mode.
#pragma once

#include <cstdint>
#include <string>

#include "advisor/gate/ask_policy.h"
#include "hub/chat.h"

namespace hearth::hub {

struct AdviceRules {
  AdviceMode mode = AdviceMode::kNever;
  bool is_configured = false;  // There is an adviser.
  bool may_leave = true;       // False for the model name "local".
  bool is_chat = true;         // A plain completion has no turns for advice to enter.
  std::uint32_t n_choices = 1;
  double threshold = 0.5;
  advisor::gate::AskPolicy policy;
};

struct AdviceDecision {
  bool ask = false;
  AdviceOutcome outcome = AdviceOutcome::kNotNeeded;  // If not asked.
  std::string detail;                                 // One sentence for the receipt.
  std::string rule;                                   // If asked: what the ledger records.
};

// Whether asking is possible at all, before anything of the answer is known: then the draft is held
// back until its confidence is.
bool may_ask(const AdviceRules& rules);

// `situation.threshold` is set from the rules.
AdviceDecision decide_advice(const AdviceRules& rules, advisor::gate::Situation situation);

// Whether only the whole answer can tell if advice is due: then nothing of it is shown early.
bool needs_whole_answer(const AdviceRules& rules, bool has_used_tools, std::uint32_t n_tool_errors);

}  // namespace hearth::hub

// The conductor's part in asking early: a draft that is unsure after its first words is advised on while the
// local model writes on.  If the advice says what the whole draft says, the draft is the answer, and neither
// a second prompt nor a second answer is computed; if it says something else, what was written on is dropped.
//
// The adviser sees the draft as far as it was when it was asked.
#include <utility>

#include "advisor/gate/agreement.h"
#include "hub/conductor.h"

namespace hearth::hub {
namespace {

constexpr std::uint32_t kEarlyTokens = 32;  // Of the draft, before it can be called unsure.

}  // namespace

bool Conductor::may_ask_early(const Run& run) const {
  if (!options_.asks_early || run.stage != Stage::kDrafting || run.no_advice) return false;
  const Answer& first = run.answers[0];
  const bool is_plain = first.called.empty() && !run.may_call_risky && run.second_candidates.empty();
  return is_plain && first.is_held && first.held.size() == kEarlyTokens && first.meter.value() < run.rules.threshold;
}

void Conductor::ask_early(Run& run) {
  const AdviceDecision decision = decide_advice(run.rules, situation_of(run));
  if (!decision.ask) return;
  run.drafts_on = true;
  ask_adviser(run, decision.rule + ", asked early");
}

// The end of a draft that was dropped: it counts, and nothing else becomes of it.
bool Conductor::is_late_draft(Run& run, const JobEnded& message) {
  const bool is_late = message.stage == Stage::kDrafting && run.stage != Stage::kDrafting && !run.drafts_on;
  if (is_late) account(run, message.event, /*is_final=*/false);
  return is_late;
}

// It waits for the advice.
void Conductor::end_early_draft(Run& run, const JobEnded& message) {
  Answer& answer = run.answers[message.choice];
  answer.is_running = false;
  account(run, message.event, /*is_final=*/false);
  answer.reason = message.event.reason;
  if (answer.reason == engine::FinishReason::kError) {  // The advice may still help.
    run.draft_error = message.event.error;
    return;
  }
  answer.stop_string = message.event.stop_string;
  take_end(run, message.choice, message.event);
  answer.ended_unsure = message.event.unsure;
}

// What advice means for a draft that went on; false: it is worked in like any other.
bool Conductor::settle_early(Run& run, advisor::Advice& advice) {
  Answer& answer = run.answers[0];
  run.drafts_on = false;
  if (advice.status == advisor::AdviceStatus::kAnswered) {
    const bool is_whole = !answer.is_running && !run.draft_error && answer.called.empty();
    const bool is_same = is_whole && advisor::gate::answers_agree(answer.text, advice.text);
    if (is_same) {
      run.sink->on_advice(run.receipt.adviser, advice.text);
      run.receipt.advice_remembered = std::move(advice.remembered);
      give_draft(run, AdviceOutcome::kAdvised, "the local model wrote on meanwhile, and the advice says the same: its answer stands");
      return true;
    }
    if (std::exchange(answer.is_running, false)) parts_.engine->cancel(answer.job);
    return false;
  }
  if (run.draft_error) {
    fail_run(run, *std::move(run.draft_error));
    return true;
  }
  if (!answer.is_running) return false;
  // No advice, and the draft is not whole yet: it is shown as it comes, from here on.
  run.stage = Stage::kDrafting;
  run.no_advice = std::move(advice);
  release_held(run, answer);
  return true;
}

}  // namespace hearth::hub

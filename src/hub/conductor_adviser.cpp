// The conductor's part in asking the adviser, and in what becomes of its answer: the local model finishes with the
// advice, or the advice itself is the answer, or the draft stands.
#include <fmt/format.h>

#include <utility>

#include "hub/conductor.h"
#include "hub/memory_key.h"
#include "hub/notices.h"
#include "hub/privacy_sources.h"

namespace hearth::hub {
namespace {

constexpr std::string_view kFinishedWithAdvice = "the local model finished the answer with the adviser's advice";

// What of a conversation an adviser may see: the turns of user and assistant, no system texts.
std::vector<advisor::BriefMessage> brief_of(const std::vector<Message>& messages) {
  std::vector<advisor::BriefMessage> brief;
  for (const Message& message : messages) {
    const bool is_user = message.role == Role::kUser;
    if (message.content.empty() || (!is_user && message.role != Role::kAssistant)) continue;
    brief.push_back({.is_user = is_user, .text = message.content});
  }
  return brief;
}

// The draft as the adviser sees it: its text, and what it was about to call.
std::string draft_of(const Answer& answer) {
  std::string draft = answer.text;
  for (const std::string& name : answer.called) draft += fmt::format("\n(It calls the tool {}.)", name);
  if (!answer.called.empty()) draft += fmt::format("\n(With these arguments: {})", answer.call_arguments);
  return draft;
}

Notice unsure_notice(AdviceOutcome outcome) {
  if (outcome == AdviceOutcome::kNotConfigured) return Notice::kUnsureNotConfigured;
  if (outcome == AdviceOutcome::kNotAllowed) return Notice::kUnsureNotAllowed;
  return Notice::kUnsureNotAdvised;
}

// Whether the advice as it is could be the answer.
bool fits_format(const Run& run) {
  return run.request.grammar == nullptr || text::grammar::matches(*run.request.grammar, run.advice_text);
}

}  // namespace

AdviceOutcome outcome_of(advisor::AdviceStatus status) {
  switch (status) {
    case advisor::AdviceStatus::kAnswered:
      return AdviceOutcome::kAdvised;
    case advisor::AdviceStatus::kOverBudget:
      return AdviceOutcome::kOverBudget;
    case advisor::AdviceStatus::kUnknownPrice:
      return AdviceOutcome::kUnknownPrice;
    case advisor::AdviceStatus::kDenied:
      return AdviceOutcome::kNotAllowed;
    case advisor::AdviceStatus::kFailed:
    case advisor::AdviceStatus::kCancelled:
      return AdviceOutcome::kFailed;
  }
  return AdviceOutcome::kFailed;
}

class Conductor::AdviceRelay final : public advisor::AdviceSink {
 public:
  AdviceRelay(Mailbox<RunMessage>& inbox, RequestId run) : inbox_(inbox), run_(run) {}
  void on_advice(const advisor::Advice& advice) override { inbox_.put(AdviceCame{run_, advice}); }
  void on_departure(const advisor::DeparturePtr& departure) override { inbox_.put(DepartureNear{run_, departure}); }

 private:
  Mailbox<RunMessage>& inbox_;
  RequestId run_;
};

void Conductor::ask_adviser(Run& run, const std::string& rule) {
  run.stage = Stage::kAdvising;
  run.receipt.advice_rule = rule;
  const std::string name = parts_.adviser->options().full_name();
  run.receipt.adviser = name;
  run.sink->on_status(fmt::format("asking the adviser {} ({})", name, rule));
  run.advice_id = parts_.adviser->ask({.request_id = run.receipt.id,
                                       .conversation = brief_of(run.request.messages),
                                       .draft = draft_of(run.answers[0]),
                                       .rule = rule,
                                       .sources = sources_of(run.request),
                                       .client = run.request.client,
                                       .label = {},
                                       .consent = {},
                                       .is_preview = run.request.is_preview,
                                       .memory = memory_key(run)},
                                      std::make_shared<AdviceRelay>(inbox_, run.id));
}

void Conductor::on(AdviceCame& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != Stage::kAdvising) return;
  advisor::Advice& advice = message.advice;
  run->receipt.bytes_out += advice.bytes_out;
  run->receipt.cost_usd_micro += advice.cost_usd_micro;
  if (!advice.adviser.empty()) run->receipt.adviser = advice.adviser;
  if (run->is_cancelled) return cancel_run(*run);
  if (run->drafts_on && settle_early(*run, advice)) return;
  if (advice.status != advisor::AdviceStatus::kAnswered) return end_without_advice(*run, std::move(advice));
  run->receipt.advice = AdviceOutcome::kAdvised;
  run->receipt.advice_detail = kFinishedWithAdvice;
  run->receipt.advice_remembered = std::move(advice.remembered);
  if (!advice.detail.empty()) run->receipt.advice_detail += "; " + advice.detail;
  run->advice_text = std::move(advice.text);
  run->sink->on_advice(run->receipt.adviser, run->advice_text);
  if (run->model->model->relays_advice() && fits_format(*run)) return relay_advice(*run);

  // The advice enters as a turn of its own; the prefix cache still holds all turns before it.
  std::vector<Message> messages = run->request.messages;
  const std::string draft = draft_of(run->answers[0]);
  messages.push_back(
      {.role = Role::kAssistant,
       .content = draft.empty() ? std::string(notice(Notice::kDraftWasUnsure)) : draft});
  messages.push_back(
      {.role = Role::kUser, .content = notice(Notice::kFinishWithAdvice, run->advice_text)});
  prepare(*run, Stage::kPreparingFinal, std::move(messages));
}

void Conductor::begin_final(Run& run, const Prompt& prompt) {
  run.stage = Stage::kFinishing;
  run.answers[0].is_held = false;
  run.answers[0].called.clear();  // What the draft calls was advised on, not made.
  if (!submit(run, 0, prompt)) end_without_final(run);
}

// The local model could not finish: the advice itself is the answer, or, if it has not the format that
// was asked for, the draft, which has.
void Conductor::end_without_final(Run& run) {
  if (fits_format(run)) return relay_advice(run);
  give_draft(run, AdviceOutcome::kFailed,
             "advice came, but the local model could not bring it into the format that was asked for");
}

// None came: the draft stands, and the question is kept where nobody could be reached.
void Conductor::end_without_advice(Run& run, advisor::Advice advice) {
  if (advice.is_unreachable && defer(run, advice.detail)) {
    advice.detail += "; the question is kept, and `hearth advisor deferred ask` asks it later";
  }
  give_draft(run, outcome_of(advice.status), std::move(advice.detail));
}

// The advice itself becomes the answer: the local model is too small to rework it, or could not.
void Conductor::relay_advice(Run& run) {
  run.receipt.advice_relayed = true;
  // Behind it stands what was odd about the advice, if anything was.
  run.receipt.advice_detail.replace(0, kFinishedWithAdvice.size(), "the adviser's words were passed on as they are");
  run.answers[0].reason = engine::FinishReason::kStop;
  const bool is_plain = run.request.grammar == nullptr;  // Else any word of ours would break the format.
  show(run, 0, is_plain ? notice(Notice::kAdviceFollows, run.advice_text) : run.advice_text);
  end_choice(run, 0);
  store_receipt(run);
}

// The local answer stands: what was held back is shown, and where the model only said that it is
// unsure, the hub says so in words.
void Conductor::give_draft(Run& run, AdviceOutcome outcome, std::string detail) {
  run.receipt.advice = outcome;
  run.receipt.advice_detail = std::move(detail);
  for (std::uint32_t choice = 0; choice < run.answers.size(); ++choice) {
    Answer& answer = run.answers[choice];
    release_held(run, answer);
    if (answer.ended_unsure && answer.text.empty() && answer.called.empty()) {
      const Notice which = unsure_notice(outcome);
      show(run, choice,
           which == Notice::kUnsureNotAdvised ? notice(which, run.receipt.advice_detail)
                                              : std::string(notice(which)));
    }
    end_choice(run, choice);
  }
  store_receipt(run);
}

}  // namespace hearth::hub

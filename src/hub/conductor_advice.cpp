// The conductor's part in whether advice is due: what is known of a draft, and the rules' word on it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "advisor/gate/agreement.h"
#include "base/digest.h"
#include "base/log.h"
#include "hub/advice_signs.h"
#include "hub/conductor.h"
#include "hub/memory_key.h"
#include "hub/upstream/chat_body.h"

namespace hearth::hub {
namespace {

constexpr std::uint64_t kInstructionBytes = 600;  // Of a brief, beside the conversation.

// What the gate judges a draft by.
advisor::gate::Asked asked_of(const Run& run, std::string kind) {
  const std::string& text = run.answers[0].text;
  return {.kind = std::move(kind),
          .question = std::string(task_text(run.request)),
          .local_text = text,
          .local_chars = text.size()};
}

// The first of these tools that the rule `risky_tools` is about; empty if none is, or the rule is off.
std::string risky_among(const advisor::gate::AskPolicy& policy, const std::vector<std::string>& names) {
  return policy.risky_tools == advisor::gate::RuleMode::kOff ? "" : find_risky(names, policy.risky_tool_names);
}

// The local model as a request names it.
std::string model_name(const Run& run) {
  return run.receipt.adapter.empty() ? run.receipt.model : run.receipt.model + "@" + run.receipt.adapter;
}

}  // namespace

// What advice on this question depends on, beside its words; nothing where it is not to be kept, or where the
// last turn is no question.
std::optional<advisor::AdviceKey> memory_key(const Run& run) {
  const ChatRequest& request = run.request;
  const bool is_question = !request.messages.empty() && request.messages.back().role == Role::kUser &&
                           !request.messages.back().content.empty();
  if (!request.may_store || !is_question) return std::nullopt;
  std::uint64_t context = hash64(request.format_json);
  const auto add = [&](std::string_view text) { context = hash64(text, context); };
  for (const Message& message : std::span(request.messages).first(request.messages.size() - 1)) {
    add(role_name(message.role));
    add(message.content);
    for (const ToolCall& call : message.tool_calls) add(call.name), add(call.arguments);
  }
  for (const Tool& tool : request.tools) add(tool.definition);
  return advisor::AdviceKey{.client = request.client,
                            .gives = {},
                            .adviser = {},
                            .model = fmt::format("{} {}", model_name(run), run.receipt.quantisation),
                            .context = context};
}

// What of the drafts must be there before any of it is shown.
void Conductor::plan_holding(Run& run) {
  const std::vector<Message>& messages = run.request.messages;
  run.needs_whole_answer = needs_whole_answer(run.rules, has_used_tools(messages), n_tool_errors(messages)) ||
                           !run.second_candidates.empty();
  std::vector<std::string> offered;
  for (const Tool& tool : run.request.tools) offered.push_back(tool.name);
  run.may_call_risky = !risky_among(run.rules.policy, offered).empty();
}

// Sure enough already, or a call that no advice can better: nobody will be asked, so nothing need be held
// back.
bool Conductor::may_show_early(const Run& run, const Answer& answer) const {
  if (run.may_call_risky) return false;  // However sure the beginning, and whatever was called: it may follow.
  if (!answer.called.empty()) return risky_among(run.rules.policy, answer.called).empty();  // Offered or not.
  if (run.needs_whole_answer || !answer.meter.is_settled_above(run.rules.threshold)) return false;
  return run.rules.policy.refusal == advisor::gate::RuleMode::kOff || !is_refusal(answer.text);
}

// All drafts are there.
void Conductor::end_draft(Run& run) {
  if (wants_second(run)) return begin_second(run);
  judge_draft(run);
}

// Is advice due?
void Conductor::judge_draft(Run& run) {
  if (run.no_advice) return end_without_advice(run, *std::move(run.no_advice));
  const advisor::gate::Situation situation = situation_of(run);
  AdviceDecision decision = decide_advice(run.rules, situation);
  const Answer& first = run.answers[0];
  const bool is_shown = !first.is_held && !(first.text.empty() && first.called.empty());
  const bool calls_tools = std::ranges::any_of(run.answers, [](auto& a) { return !a.called.empty(); });
  if (calls_tools && situation.risky_tool.empty()) {
    decision = {.detail = "the answer calls a tool, which needs no advice"};
  }
  if (decision.ask && is_shown) {  // Shown since it was sure early on: that stands.
    decision = {.detail = "the answer was sure from its beginning and is already given"};
  }
  if (decision.ask) return ask_adviser(run, decision.rule);
  give_draft(run, decision.outcome, std::move(decision.detail));
}

advisor::gate::Situation Conductor::situation_of(Run& run) {
  advisor::gate::Situation situation;
  bool calls_tools = false;
  for (const Answer& answer : run.answers) {
    // No answer at all deserves no trust, however it came about.
    const bool is_empty = answer.text.empty() && answer.called.empty();
    situation.confidence = std::min(situation.confidence, is_empty ? 0.0 : answer.meter.value());
    calls_tools |= !answer.called.empty();
    if (situation.risky_tool.empty()) situation.risky_tool = risky_among(run.rules.policy, answer.called);
  }
  situation.is_refusal = !calls_tools && is_refusal(run.answers[0].text);
  situation.n_tool_errors = n_tool_errors(run.request.messages);
  situation.would_be_done = !calls_tools && has_used_tools(run.request.messages);
  situation.price_usd_micro = expected_price_usd_micro(run);

  Receipt& receipt = run.receipt;
  receipt.confidence = static_cast<float>(situation.confidence);
  receipt.kind = kind_of(run);
  std::optional<bool> second_agrees;
  if (!run.second.text.empty()) {
    receipt.second_model = options_.second_model;
    receipt.second_agrees = advisor::gate::answers_agree(run.answers[0].text, run.second.text);
    second_agrees = receipt.second_agrees;
    if (!receipt.second_agrees) situation.second_model = receipt.second_model;
  }
  const advisor::gate::Learned::Odds odds =
      run.learned->odds(asked_of(run, receipt.kind), situation.confidence, second_agrees);
  situation.p_wrong = odds.p_wrong;
  situation.p_helps = odds.p_helps;
  receipt.p_wrong = static_cast<float>(odds.p_wrong);
  receipt.p_wrong_before = static_cast<float>(odds.p_wrong_before);
  receipt.p_helps = static_cast<float>(odds.p_helps);
  return situation;
}

// What the question is about, as the tasks tell; empty where none is ahead of the others.
std::string Conductor::kind_of(const Run& run) const {
  if (parts_.tasks == nullptr) return "";
  const auto scores = parts_.tasks->scores(task_text(run.request));
  const float next = scores.size() > 1 ? scores[1].second : 0;
  const bool is_ahead = !scores.empty() && static_cast<double>(scores[0].second - next) >= parts_.tasks->options().margin;
  return is_ahead ? scores[0].first : "";
}

// 0 where the price is not known: then the adviser itself refuses to ask.
std::int64_t Conductor::expected_price_usd_micro(const Run& run) const {
  if (parts_.adviser == nullptr || !parts_.adviser->options().prices) return 0;
  const advisor::AdviserOptions& options = parts_.adviser->options();
  std::uint64_t bytes = kInstructionBytes + run.answers[0].text.size();
  for (const Message& message : run.request.messages) bytes += message.content.size();
  return advisor::gate::expected_price_usd_micro(
      options.prices->in_usd_micro_per_mtok, options.prices->out_usd_micro_per_mtok,
      std::min(bytes, kInstructionBytes + options.brief_bytes_max), options.max_output_tokens);
}

// Keeps a question that no adviser could be reached for, unless that is not wanted; whether it does.
bool Conductor::defer(const Run& run, const std::string& why) {
  if (!options_.defers || parts_.advice_store == nullptr || !run.request.may_store || !run.request.tools.empty()) return false;
  // The words alone: what was asked twice is one question.
  auto body = make_chat_body({.messages = run.request.messages}, {.model = model_name(run)});
  if (!body || body->json.size() > advisor::kDeferredBytesMax) return false;
  clearer_->post([this, question = advisor::DeferredQuestion{.id = {}, .receipt = run.receipt.id, .model = model_name(run),
                                                             .request = std::move(body->json), .draft = run.answers[0].text,
                                                             .why = why}] {
    if (const auto kept = parts_.advice_store->defer(question); !kept) {
      log_warn("hub", fmt::format("the question of {} is not deferred: {}", question.receipt, kept.error().message));
    }
  });
  return true;
}

}  // namespace hearth::hub

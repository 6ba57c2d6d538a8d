#include "hub/advice_policy.h"

#include <fmt/format.h>

namespace hearth::hub {
namespace {

// Why asking is impossible; empty if it is possible.
std::string refusal(const AdviceRules& rules) {
  if (!rules.may_leave) return "the model name \"local\" lets nothing leave this machine";
  if (rules.mode == AdviceMode::kNever) return "the request or the configuration says never";
  if (!rules.is_chat) return "a plain completion has no turns for advice to enter";
  if (rules.n_choices != 1) return "advice is for one choice, several were asked for";
  return "";
}

}  // namespace

bool may_ask(const AdviceRules& rules) { return rules.is_configured && refusal(rules).empty(); }

AdviceDecision decide_advice(const AdviceRules& rules, advisor::gate::Situation situation) {
  situation.threshold = rules.threshold;
  const advisor::gate::Ruling ruling = rule_on(rules.policy, situation);
  const std::string why_not = refusal(rules);
  const bool always = rules.mode == AdviceMode::kAlways && why_not.empty();
  if (!ruling.is_raised && !always) {
    return {.detail = fmt::format("confidence {:.2f} is not below {:.2f}", situation.confidence, rules.threshold)};
  }
  if (!why_not.empty()) {
    return {.outcome = AdviceOutcome::kNotAllowed, .detail = fmt::format("{}, but {}", ruling.why, why_not)};
  }
  if (!rules.is_configured) {
    return {.outcome = AdviceOutcome::kNotConfigured,
            .detail = fmt::format("{}, but no adviser is set up under [advisor] in hearth.toml",
                                  always ? "the request asks for advice" : ruling.why)};
  }
  if (always) return {.ask = true, .rule = "always: the request asks for advice"};
  if (ruling.ask) return {.ask = true, .rule = fmt::format("auto: {} ({})", ruling.why, ruling.worth)};
  return {.outcome = AdviceOutcome::kNotWorthIt,
          .detail = fmt::format("{}, but asking is not worth its price: {}", ruling.why, ruling.worth)};
}

bool needs_whole_answer(const AdviceRules& rules, bool has_used_tools, std::uint32_t n_tool_errors) {
  using advisor::gate::RuleMode;
  const bool may_end_work = has_used_tools && rules.policy.before_done != RuleMode::kOff;
  const bool tools_fail = rules.policy.tool_errors != RuleMode::kOff && n_tool_errors >= rules.policy.tool_errors_min;
  return rules.mode == AdviceMode::kAlways || may_end_work || tools_fail || rules.policy.wrong_max < 1;
}

}  // namespace hearth::hub

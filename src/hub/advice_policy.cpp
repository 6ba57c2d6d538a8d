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

AdviceDecision decide_advice(const AdviceRules& rules, double confidence) {
  const std::string why_not = refusal(rules);
  const bool always = rules.mode == AdviceMode::kAlways && why_not.empty();
  const std::string measured = fmt::format("confidence {:.2f}", confidence);
  if (confidence >= rules.threshold && !always) {
    return {.detail = fmt::format("{} is not below {:.2f}", measured, rules.threshold)};
  }
  if (!why_not.empty()) {
    return {
        .outcome = AdviceOutcome::kNotAllowed,
        .detail = fmt::format("{} is below {:.2f}, but {}", measured, rules.threshold, why_not)};
  }
  if (!rules.is_configured) {
    return {.outcome = AdviceOutcome::kNotConfigured,
            .detail =
                fmt::format("{}, but no adviser is set up under [advisor] in hearth.toml",
                            always ? "the request asks for advice"
                                   : fmt::format("{} is below {:.2f}", measured, rules.threshold))};
  }
  return {.ask = true,
          .rule = always ? "always: the request asks for advice"
                         : fmt::format("auto: {} is below {:.2f}", measured, rules.threshold)};
}

}  // namespace hearth::hub

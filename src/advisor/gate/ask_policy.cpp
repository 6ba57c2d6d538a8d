#include "advisor/gate/ask_policy.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::advisor::gate {
namespace {

constexpr std::int64_t kBytesPerToken = 4;
constexpr std::int64_t kOutputShare = 4;
constexpr std::int64_t kMtok = 1'000'000;

struct RuleRow {
  RuleMode AskPolicy::*mode;
  bool (*speaks)(const AskPolicy&, const Situation&);
  std::string (*why)(const AskPolicy&, const Situation&);
};

// In order of preference: what a person would call the reason comes first.
constexpr RuleRow kRules[] = {
    {&AskPolicy::risky_tools, [](const AskPolicy&, const Situation& s) { return !s.risky_tool.empty(); },
     [](const AskPolicy&, const Situation& s) { return fmt::format("the tool '{}' is risky", s.risky_tool); }},
    {&AskPolicy::refusal, [](const AskPolicy&, const Situation& s) { return s.is_refusal; },
     [](const AskPolicy&, const Situation&) { return std::string("the answer refuses or does not know"); }},
    {&AskPolicy::tool_errors,
     [](const AskPolicy& p, const Situation& s) { return s.n_tool_errors >= p.tool_errors_min; },
     [](const AskPolicy&, const Situation& s) { return fmt::format("tools failed {} times in a row", s.n_tool_errors); }},
    {&AskPolicy::low_confidence, [](const AskPolicy&, const Situation& s) { return s.confidence < s.threshold; },
     [](const AskPolicy&, const Situation& s) {
       return fmt::format("confidence {:.2f} is below {:.2f}", s.confidence, s.threshold);
     }},
    {&AskPolicy::disagreement, [](const AskPolicy&, const Situation& s) { return !s.second_model.empty(); },
     [](const AskPolicy&, const Situation& s) { return fmt::format("'{}' answers otherwise", s.second_model); }},
    {&AskPolicy::before_done, [](const AskPolicy&, const Situation& s) { return s.would_be_done; },
     [](const AskPolicy&, const Situation&) { return std::string("the work would be done"); }},
};

std::string worth_text(const AskPolicy& policy, const Situation& s) {
  return fmt::format("P(wrong) {:.2f} x P(adviser right) {:.2f} x ${:.4f} - ${:.4f} = ${:.4f}", s.p_wrong, s.p_helps,
                     static_cast<double>(policy.value_usd_micro) * 1e-6, static_cast<double>(s.price_usd_micro) * 1e-6,
                     expected_gain_usd_micro(policy, s) * 1e-6);
}

}  // namespace

double expected_gain_usd_micro(const AskPolicy& policy, const Situation& situation) {
  return situation.p_wrong * situation.p_helps * static_cast<double>(policy.value_usd_micro) -
         static_cast<double>(situation.price_usd_micro);
}

Ruling rule_on(const AskPolicy& policy, const Situation& situation) {
  Ruling ruling{.worth = worth_text(policy, situation)};
  if (policy.wrong_max < 1 && situation.p_wrong > policy.wrong_max) {
    ruling.ask = ruling.is_raised = true;
    ruling.why = fmt::format("P(wrong) {:.2f} is above {:.2f}", situation.p_wrong, policy.wrong_max);
    return ruling;
  }
  const bool pays = expected_gain_usd_micro(policy, situation) > 0;
  for (const RuleRow& rule : kRules) {
    const RuleMode mode = policy.*rule.mode;
    if (mode == RuleMode::kOff || !rule.speaks(policy, situation)) continue;
    if (!ruling.is_raised) ruling.why = rule.why(policy, situation);
    ruling.is_raised = true;
    if (mode == RuleMode::kCapped && !pays) continue;
    ruling.ask = true;
    ruling.why = rule.why(policy, situation);
    return ruling;
  }
  return ruling;
}

bool is_like(std::string_view name, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (star == pattern.npos) return name == pattern;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  name.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  for (std::size_t skipped = 0; skipped <= name.size(); ++skipped) {
    if (is_like(name.substr(skipped), pattern)) return true;
  }
  return false;
}

std::int64_t expected_price_usd_micro(std::int64_t in_usd_micro_per_mtok, std::int64_t out_usd_micro_per_mtok,
                                      std::uint64_t brief_bytes, std::uint32_t max_output_tokens) {
  const std::int64_t n_in = static_cast<std::int64_t>(brief_bytes) / kBytesPerToken;
  const std::int64_t n_out = std::int64_t{max_output_tokens} / kOutputShare;
  return (n_in * in_usd_micro_per_mtok + n_out * out_usd_micro_per_mtok + kMtok - 1) / kMtok;
}

}  // namespace hearth::advisor::gate

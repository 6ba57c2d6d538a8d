// The rules of when the adviser is asked, as pure functions of what is known of an answer.
//
//   rule             it speaks where
//   low_confidence   the answer's confidence is below the threshold
//   refusal          the answer refuses, or says that it does not know
//   tool_errors      tools failed several times in a row
//   before_done      tools were used and this answer would end the work
//   risky_tools      the answer calls a tool that the configuration names as risky
//   disagreement     a second local model answers otherwise
//   risk             the local answer is wrong with a probability above a bound
//
// A rule is off; or capped: it asks where the expected gain is worth the price,
//
//     P(local wrong) P(adviser right | kind) value - price > 0;
//
// or forced: it asks whatever the gain, within the budget that holds for every call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::advisor::gate {

enum class RuleMode : std::uint8_t { kOff, kCapped, kForced };

struct AskPolicy {
  RuleMode low_confidence = RuleMode::kCapped;
  RuleMode refusal = RuleMode::kCapped;
  RuleMode tool_errors = RuleMode::kCapped;
  RuleMode before_done = RuleMode::kOff;
  RuleMode risky_tools = RuleMode::kForced;
  RuleMode disagreement = RuleMode::kCapped;  // Speaks only where a second model was asked.
  std::vector<std::string> risky_tool_names;  // "*" stands for any text: "delete_*".
  std::uint32_t tool_errors_min = 2;          // In a row.
  double wrong_max = 1;                       // Bound of the rule `risk`, which is forced; 1: none.
  std::int64_t value_usd_micro = 100'000;     // Of a right answer instead of a wrong one.
};

// What is known of a draft once it has ended.
struct Situation {
  double confidence = 1, threshold = 0.5;
  bool is_refusal = false;
  std::uint32_t n_tool_errors = 0;
  bool would_be_done = false;
  std::string risky_tool;  // Its name; empty: none is called.
  std::string second_model;  // That answers otherwise; empty: none does, or none was asked.
  double p_wrong = 0, p_helps = 1;
  std::int64_t price_usd_micro = 0;  // Expected, not the worst.
};

struct Ruling {
  bool ask = false;
  bool is_raised = false;  // A rule spoke, though it may not have been worth it.
  std::string why;         // The rule and its numbers: "confidence 0.20 is below 0.50".
  std::string worth;       // The gain and its price, as numbers.
};

// The first rule that asks, else the first that spoke.
Ruling rule_on(const AskPolicy& policy, const Situation& situation);

double expected_gain_usd_micro(const AskPolicy& policy, const Situation& situation);

// Whether `name` is like `pattern`, in which each "*" stands for any text.
bool is_like(std::string_view name, std::string_view pattern);

// What a call is expected to cost: text has about four bytes a token, and advice takes about a fourth of
// what it may.
std::int64_t expected_price_usd_micro(std::int64_t in_usd_micro_per_mtok, std::int64_t out_usd_micro_per_mtok,
                                      std::uint64_t brief_bytes, std::uint32_t max_output_tokens);

}  // namespace hearth::advisor::gate

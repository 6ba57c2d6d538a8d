// The rules of [advice] in the hub: which draft is asked about, and what its receipt says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/advice_policy.h"
#include "hub/advice_signs.h"

namespace hearth::hub {
namespace {

using advisor::gate::AskPolicy;
using advisor::gate::RuleMode;
using advisor::gate::Situation;
using ::testing::HasSubstr;

AdviceRules rules_of(AskPolicy policy) {
  return {.mode = AdviceMode::kAuto, .is_configured = true, .threshold = 0.5, .policy = std::move(policy)};
}

TEST(AdviceRules, ACappedRuleAsksOnlyWhereTheGainIsWorthThePrice) {
  const AdviceRules rules = rules_of({.value_usd_micro = 100'000});
  Situation unsure = {.confidence = 0.2, .p_wrong = 0.8, .p_helps = 0.5, .price_usd_micro = 39'999};
  const AdviceDecision asked = decide_advice(rules, unsure);
  EXPECT_TRUE(asked.ask);
  EXPECT_THAT(asked.rule, HasSubstr("confidence 0.20 is below 0.50 (P(wrong) 0.80 x P(adviser right) 0.50 x $0.1000 - $0.0400"));
  unsure.price_usd_micro = 40'001;
  const AdviceDecision refused = decide_advice(rules, unsure);
  EXPECT_FALSE(refused.ask);
  EXPECT_EQ(refused.outcome, AdviceOutcome::kNotWorthIt);
  EXPECT_THAT(refused.detail, HasSubstr("not worth its price"));
}

TEST(AdviceRules, AForcedRuleAsksWhateverTheGainAndOneThatIsOffNever) {
  const Situation dear = {.confidence = 0.2, .p_wrong = 0.8, .p_helps = 0.5, .price_usd_micro = 1'000'000};
  EXPECT_TRUE(decide_advice(rules_of({.low_confidence = RuleMode::kForced}), dear).ask);
  const AdviceDecision off = decide_advice(rules_of({.low_confidence = RuleMode::kOff}), {.confidence = 0.2, .p_wrong = 0.8});
  EXPECT_FALSE(off.ask);
  EXPECT_EQ(off.outcome, AdviceOutcome::kNotNeeded);
}

struct RuleCase {
  Situation situation;
  AskPolicy policy;
  const char* why;
};

TEST(AdviceRules, EachRuleNamesItself) {
  const RuleCase cases[] = {
      {{.risky_tool = "rm"}, {}, "the tool 'rm' is risky"},
      {{.is_refusal = true, .p_wrong = 0.5}, {}, "refuses or does not know"},
      {{.n_tool_errors = 2, .p_wrong = 0.5}, {}, "tools failed 2 times in a row"},
      {{.would_be_done = true}, {.before_done = RuleMode::kForced}, "the work would be done"},
      {{.p_wrong = 0.31}, {.wrong_max = 0.3}, "P(wrong) 0.31 is above 0.30"},
  };
  for (const RuleCase& row : cases) {
    const AdviceDecision decision = decide_advice(rules_of(row.policy), row.situation);
    EXPECT_TRUE(decision.ask) << row.why;
    EXPECT_THAT(decision.rule, HasSubstr(row.why));
  }
  EXPECT_FALSE(decide_advice(rules_of({}), {.n_tool_errors = 1, .p_wrong = 0.5}).ask);
  EXPECT_FALSE(decide_advice(rules_of({.wrong_max = 0.3}), {.p_wrong = 0.3}).ask);
}

TEST(AdviceRules, NoRuleAsksWhereNothingMayLeave) {
  AdviceRules rules = rules_of({});
  rules.may_leave = false;
  const AdviceDecision decision = decide_advice(rules, {.risky_tool = "rm"});
  EXPECT_FALSE(decision.ask);
  EXPECT_EQ(decision.outcome, AdviceOutcome::kNotAllowed);
}

TEST(AdviceSigns, RefusalsAreToldByTheirFirstSentence) {
  EXPECT_TRUE(is_refusal(" I'm sorry, but I can\u2019t help with that."));
  EXPECT_TRUE(is_refusal("I don't know."));
  EXPECT_FALSE(is_refusal("Paris. I don't know more about it."));
  EXPECT_FALSE(is_refusal("Toucan't is no word."));
  EXPECT_FALSE(is_refusal(""));
}

TEST(AdviceSigns, ToolErrorsCountBackFromTheLatestResult) {
  const auto tool = [](std::string text) { return Message{.role = Role::kTool, .content = std::move(text)}; };
  const Message call = {.role = Role::kAssistant, .tool_calls = {{.name = "sh"}}};
  std::vector<Message> messages = {{.role = Role::kUser, .content = "Build it."}, call, tool("done: 3 files")};
  EXPECT_TRUE(has_used_tools(messages));
  EXPECT_EQ(n_tool_errors(messages), 0U);
  messages.insert(messages.end(), {call, tool("Error: no rule"), call, tool("bash: cmake: command not found")});
  EXPECT_EQ(n_tool_errors(messages), 2U);
  messages.insert(messages.end(), {call, tool("0 errors, 0 warnings")});
  EXPECT_EQ(n_tool_errors(messages), 0U);
  messages.push_back({.role = Role::kUser, .content = "Thanks."});
  EXPECT_FALSE(has_used_tools(messages));
}

TEST(AdviceSigns, RiskyToolsAreNamedByPatterns) {
  EXPECT_EQ(find_risky(std::vector<std::string>{"read", "delete_file"}, std::vector<std::string>{"rm", "delete_*"}), "delete_file");
  EXPECT_EQ(find_risky(std::vector<std::string>{"delete"}, std::vector<std::string>{"delete_*"}), "");
  EXPECT_EQ(find_risky(std::vector<std::string>{"git_force_push"}, std::vector<std::string>{"*force*push*"}), "git_force_push");
}

}  // namespace
}  // namespace hearth::hub

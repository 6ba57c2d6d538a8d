#include "hub/private_adviser.h"

#include <gtest/gtest.h>

#include <future>

#include "hub/fakes_for_test.h"
#include "hub/privacy_sources.h"

namespace hearth::hub {
namespace {

using advisor::AdviceStatus;

class PromisedAdvice final : public advisor::AdviceSink {
 public:
  void on_advice(const advisor::Advice& advice) override { promise_.set_value(advice); }
  advisor::Advice wait() { return promise_.get_future().get(); }

 private:
  std::promise<advisor::Advice> promise_;
};

struct Asked {
  advisor::Advice advice;
  std::vector<advisor::AdviceRequest> seen;  // By the adviser behind.
};

Asked ask(PrivacyOptions options, advisor::AdviceRequest request, const std::string& answer) {
  auto inner = std::make_unique<FakeAdviser>();
  FakeAdviser& fake = *inner;
  fake.answer = advisor::Advice{.status = AdviceStatus::kAnswered, .text = answer, .detail = {}};
  const auto adviser = make_private(std::move(inner), std::move(options));
  const auto sink = std::make_shared<PromisedAdvice>();
  adviser->ask(std::move(request), sink);
  const advisor::Advice advice = sink->wait();
  return {advice, fake.asked};
}

privacy::Policy policy_of(std::string_view toml) {
  auto policy = privacy::parse_policy(toml, "p.toml");
  EXPECT_TRUE(policy) << policy.error().message;
  return policy ? *policy : privacy::Policy::standard();
}

TEST(PrivateAdviser, RedactsAndRestores) {
  const Asked asked = ask({}, {.request_id = "r",
                               .conversation = {{true, "Write to ann@example.com in Paris."}},
                               .draft = "To ann@example.com: hello",
                               .rule = "auto",
                               .sources = {{"user", "", {}}}},
                          "Dear [EMAIL_ADDRESS_1], and [EMAIL_ADDRESS_7]");
  ASSERT_EQ(asked.seen.size(), 1U);
  EXPECT_EQ(asked.seen[0].conversation[0].text, "Write to [EMAIL_ADDRESS_1] in Paris.");
  EXPECT_EQ(asked.seen[0].draft, "To [EMAIL_ADDRESS_1]: hello");
  EXPECT_EQ(asked.seen[0].rule, "auto; class private by rule 'default', redacted: EMAIL_ADDRESS 2");
  EXPECT_EQ(asked.advice.text, "Dear ann@example.com, and [EMAIL_ADDRESS_7]");
  EXPECT_EQ(asked.advice.detail, "the advice names placeholders that were not given out: [EMAIL_ADDRESS_7]");
}

TEST(PrivateAdviser, WhatMayNotLeaveStays) {
  const Asked asked = ask({.policy = policy_of("[[rules]]\nname = \"keys\"\nclass = \"secret\"\npaths = [\"**/.ssh/**\"]")},
                          {.request_id = "r", .conversation = {{true, "hi"}}, .draft = "", .rule = "auto",
                           .sources = {{"user", "", {}}, {"tool", "read", {"/h/.ssh/id"}}}},
                          "unheard");
  EXPECT_TRUE(asked.seen.empty());
  EXPECT_EQ(asked.advice.status, AdviceStatus::kDenied);
  EXPECT_EQ(asked.advice.detail, "the privacy policy keeps it here: class secret by rule 'keys' may not leave");
}

TEST(PrivateAdviser, FreeTextLeavesAsItIs) {
  const Asked asked = ask({.policy = policy_of("default = \"public\"")},
                          {.request_id = "r", .conversation = {{true, "ann@example.com"}}, .draft = "", .rule = "auto",
                           .sources = {{"user", "", {}}}},
                          "ok");
  EXPECT_EQ(asked.seen.at(0).conversation[0].text, "ann@example.com");
}

TEST(PrivateAdviser, ACancelReachesTheAdviserBehind) {
  auto inner = std::make_unique<FakeAdviser>();
  const auto adviser = make_private(std::move(inner), {});
  const auto sink = std::make_shared<PromisedAdvice>();
  const auto id = adviser->ask({.request_id = "r", .conversation = {{true, "hi"}}, .draft = "", .rule = "auto", .sources = {}}, sink);
  adviser->cancel(id);
  EXPECT_EQ(sink->wait().status, AdviceStatus::kCancelled);
}

TEST(PrivacySources, AToolsResultKnowsItsCall) {
  Message call{.role = Role::kAssistant, .content = {}, .reasoning = {}, .name = {},
               .tool_calls = {{"c1", "read_file", R"({"path": "\/home\/me\/.ssh\/id", "mode": "text"})"},
                              {"c2", "shell", R"({"command": "cat C:\\keys\\a.pem //etc//x.pem | head"})"}}};
  Message first{.role = Role::kTool, .content = "x", .reasoning = {}, .name = {}, .tool_calls = {}, .tool_call_id = "c1"};
  Message second{.role = Role::kTool, .content = "y", .reasoning = {}, .name = {}, .tool_calls = {}, .tool_call_id = "c2"};
  const std::vector<Message> messages = {call, first, second};
  const privacy::Sources sources = sources_of(messages);
  ASSERT_EQ(sources.size(), 3U);
  EXPECT_EQ(sources[1].tool, "read_file");
  EXPECT_EQ(sources[1].paths, std::vector<std::string>{"/home/me/.ssh/id"});
  EXPECT_EQ(sources[2].paths, (std::vector<std::string>{"C:/keys/a.pem", "/etc/x.pem"}));
}

}  // namespace
}  // namespace hearth::hub

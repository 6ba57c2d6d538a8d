#include "hub/private_adviser.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "base/temp_folder_for_test.h"
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
  const PrivacyGate gate(std::move(options));
  const auto adviser = make_private(std::move(inner), gate);
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
  EXPECT_EQ(asked.seen[0].label, "class private by rule 'default', redacted: EMAIL_ADDRESS 2");
  EXPECT_FALSE(asked.seen[0].consent);
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

TEST(PrivateAdviser, WhatNeedsConsentSaysWhoseAndForWhichRule) {
  const Asked asked = ask({.policy = policy_of("[actions]\nprivate = \"ask\"")},
                          {.request_id = "r", .conversation = {{true, "ann@example.com"}}, .draft = "", .rule = "auto",
                           .sources = {{"user", "", {}}}, .client = "ann"},
                          "ok");
  ASSERT_EQ(asked.seen.size(), 1U);
  EXPECT_EQ(asked.seen[0].conversation[0].text, "[EMAIL_ADDRESS_1]") << "consent is for what is redacted, too";
  ASSERT_TRUE(asked.seen[0].consent);
  EXPECT_EQ(asked.seen[0].consent->client, "ann");
  EXPECT_EQ(asked.seen[0].consent->rule, "default");
  EXPECT_NE(asked.seen[0].consent->policy, 0U);
}

TEST(PrivateAdviser, FreeTextLeavesAsItIs) {
  const Asked asked = ask({.policy = policy_of("default = \"public\"")},
                          {.request_id = "r", .conversation = {{true, "ann@example.com"}}, .draft = "", .rule = "auto",
                           .sources = {{"user", "", {}}}},
                          "ok");
  EXPECT_EQ(asked.seen.at(0).conversation[0].text, "ann@example.com");
}

TEST(PrivateAdviser, RemembersAdviceForTheSameQuestionOfTheSameClass) {
  const TempFolder folder;
  const auto store = *advisor::AdviceStore::open({.file = folder / "advice.db"});
  const PrivacyGate gate({.policy = policy_of("[[rules]]\nname = \"site\"\nclass = \"public\"\nheaders = [\"x: site\"]")});
  auto inner = std::make_unique<FakeAdviser>();
  FakeAdviser& fake = *inner;
  fake.answer = advisor::Advice{.status = AdviceStatus::kAnswered, .text = "Ask [EMAIL_ADDRESS_1].", .detail = {}, .adviser = "acme/wise-1"};
  auto adviser = make_private(std::move(inner), gate, {}, store.get());
  const auto asked = [&](const std::string& question, const std::string& draft, const std::string& header = "", bool may_remember = true) {
    advisor::AdviceRequest request{.request_id = "r", .conversation = {{true, question}}, .draft = draft, .rule = "auto",
                                   .sources = {{"user", "", {}, {header}}}};
    if (may_remember) request.memory = advisor::AdviceKey{.client = "ann", .gives = {}, .adviser = {}, .model = "m", .context = 7};
    const auto sink = std::make_shared<PromisedAdvice>();
    adviser->ask(std::move(request), sink);
    const advisor::Advice advice = sink->wait();
    while (store->remembered(9)->size() < fake.asked.size() && may_remember) std::this_thread::sleep_for(milliseconds(1));
    return advice;
  };
  const std::string question = "Whom do I ask about ann@example.com?";
  EXPECT_EQ(asked(question, "Dunno.").text, "Ask ann@example.com.");
  const advisor::Advice again = asked("Please, whom do I ask about ann@example.com", "Dunno.");
  EXPECT_EQ(again.text, "Ask ann@example.com.");
  EXPECT_EQ(again.remembered, "a-1");
  EXPECT_EQ(again.bytes_out, 0U);
  EXPECT_NE(again.detail.find("remembered advice of "), std::string::npos);
  EXPECT_EQ(fake.asked.size(), 1U);
  EXPECT_EQ(asked(question, "Another draft.").text, "(On this earlier draft: Dunno.)\n\nAsk ann@example.com.");
  EXPECT_EQ(asked(question, "Dunno.", "x: site").remembered, "") << "of another class";
  EXPECT_EQ(asked(question, "Dunno.", "", false).remembered, "") << "store: false";
  EXPECT_EQ(fake.asked.size(), 3U);
  EXPECT_EQ(store->remembered(9)->size(), 2U);
  adviser.reset();
}

TEST(PrivateAdviser, ACancelReachesTheAdviserBehind) {
  auto inner = std::make_unique<FakeAdviser>();
  const PrivacyGate gate;
  const auto adviser = make_private(std::move(inner), gate);
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

std::vector<std::string> paths_of(const char* arguments) {
  Message call{.role = Role::kAssistant, .content = {}, .reasoning = {}, .name = {}, .tool_calls = {{"c", "shell", arguments}}};
  Message result{.role = Role::kTool, .content = "x", .reasoning = {}, .name = {}, .tool_calls = {}, .tool_call_id = "c"};
  return sources_of(std::vector<Message>{call, result})[1].paths;
}

TEST(PrivacySources, PathsAreSeenHoweverTheyAreWritten) {
  using Paths = std::vector<std::string>;
  EXPECT_EQ(paths_of(R"({"path": "\u002fkeys\/a", "cwd": "C:\\x"})"), Paths({"/keys/a", "C:/x"}));
  EXPECT_EQ(paths_of(R"(cat /keys/a \x.pem)"), Paths({"/keys/a", "/x.pem"})) << "no JSON: as it is";
  EXPECT_EQ(paths_of("{\"path\": \"\\u002fkeys/\\ud83d\\udd12\"}"), Paths({"/keys/🔒"}));
  EXPECT_EQ(paths_of(R"({"cmd": "(cat ./a.pem)&&ls /keys//b"})"), Paths({"a.pem)", "a.pem", "/keys/b"}));
  EXPECT_EQ(paths_of(R"({"url": "file:///keys/a", "data": "@/keys/b"})"), Paths({"file:/keys/a", "/keys/a", "@/keys/b", "/keys/b"}));
  EXPECT_EQ(paths_of(R"({"/keys/a": ["x", {"y": "/keys/b"}]})"), Paths({"/keys/a", "/keys/b"}));
}

}  // namespace
}  // namespace hearth::hub

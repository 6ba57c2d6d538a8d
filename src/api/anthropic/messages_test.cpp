// Anthropic's messages: what is taken of a request, and that a stream's events fit together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "api/anthropic/messages_request.h"
#include "api/anthropic/messages_writer.h"
#include "net/sse.h"

namespace hearth::api::anthropic {
namespace {

using hub::Role;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

hub::ChatRequest parsed(std::string_view body) {
  auto call = parse_call(body);
  EXPECT_TRUE(call.has_value()) << (call ? "" : call.error().message);
  return call ? std::move(call->chat) : hub::ChatRequest{};
}

std::string message_of(std::string_view body) {
  const auto call = parse_call(body);
  EXPECT_FALSE(call.has_value());
  return call ? "" : call.error().message;
}

std::string with(const std::string& messages, const std::string& fields = "") {
  return R"({"model":"m","max_tokens":5,"messages":)" + messages + (fields.empty() ? "" : ",") + fields + "}";
}

TEST(MessagesRequest, EveryFieldFindsItsPlace) {
  const auto r = parsed(with(R"([{"role":"user","content":"Hi"}])",
                             R"("system":[{"type":"text","text":"A"},{"type":"text","text":"B"}],"temperature":0.5,
      "top_p":0.9,"top_k":7,"stop_sequences":["x","y"],"stream":true,"metadata":{"user_id":"u"},
      "tools":[{"name":"f","description":"does f","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}],
      "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},
      "thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"effort":"high"})"));
  EXPECT_EQ(r.model, "m");
  EXPECT_EQ(r.max_tokens, 5U);
  ASSERT_EQ(r.messages.size(), 2U);
  EXPECT_EQ(r.messages[0].role, Role::kSystem);
  EXPECT_EQ(r.messages[0].content, "A\nB");
  EXPECT_FLOAT_EQ(r.sampling.temperature, 0.5F);
  EXPECT_EQ(r.sampling.top_k, 7U);
  EXPECT_THAT(r.stop, ElementsAre("x", "y"));
  ASSERT_EQ(r.tools.size(), 1U);
  EXPECT_EQ(r.tools[0].definition, R"({"name":"f","description":"does f","parameters":{"type":"object"}})");
  EXPECT_EQ(r.tool_choice, hub::ToolChoice::kRequired);
  EXPECT_EQ(r.tool_name, "f");
  EXPECT_FALSE(r.parallel_tool_calls);
  EXPECT_EQ(r.reasoning_effort, "high");
}

TEST(MessagesRequest, ThinksOnlyWhereItIsAsked) {
  const std::string hi = R"([{"role":"user","content":"Hi"}])";
  EXPECT_EQ(parsed(with(hi)).reasoning_effort, "none");
  EXPECT_EQ(parsed(with(hi, R"("thinking":{"type":"disabled"})")).reasoning_effort, "none");
  EXPECT_EQ(parsed(with(hi, R"("thinking":{"type":"adaptive"})")).reasoning_effort, "medium");
}

TEST(MessagesRequest, BlocksBecomeTurns) {
  const auto r = parsed(with(R"([{"role":"user","content":"call"},
    {"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"s"},
      {"type":"redacted_thinking","data":"zzz"},{"type":"text","text":"Wait."},
      {"type":"tool_use","id":"t1","name":"f","input":{"a":1}},{"type":"tool_use","id":"t2","name":"g"}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"one"}]},
      {"type":"tool_result","tool_use_id":"t2","content":"two","is_error":true},{"type":"text","text":"go on"}]}])"));
  ASSERT_EQ(r.messages.size(), 5U);
  EXPECT_EQ(r.messages[1].reasoning, "Hm.");
  EXPECT_EQ(r.messages[1].content, "Wait.");
  ASSERT_EQ(r.messages[1].tool_calls.size(), 2U);
  EXPECT_EQ(r.messages[1].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(r.messages[1].tool_calls[1].arguments, "{}");
  EXPECT_EQ(r.messages[2].role, Role::kTool);
  EXPECT_EQ(r.messages[2].tool_call_id, "t1");
  EXPECT_EQ(r.messages[2].content, "one");
  EXPECT_EQ(r.messages[3].content, "Error: two");
  EXPECT_EQ(r.messages[4].role, Role::kUser);
  EXPECT_EQ(r.messages[4].content, "go on");
}

TEST(MessagesRequest, RefusesInOneSentence) {
  const std::string hi = R"([{"role":"user","content":"Hi"}])";
  EXPECT_THAT(message_of(R"({"model":"m","messages":)" + hi + "}"), HasSubstr("'max_tokens'"));
  EXPECT_THAT(message_of(with(R"([{"role":"user","content":[{"type":"image","source":{}}]}])")),
              HasSubstr("content block 'image' at 'messages[0].content[0]'"));
  EXPECT_THAT(message_of(with(R"([{"role":"user","content":[{"type":"tool_use","name":"f"}]}])")),
              HasSubstr("'tool_use'"));
  EXPECT_THAT(message_of(with(hi, R"("tools":[{"type":"web_search_20250305","name":"web_search"}])")),
              HasSubstr("runs no tools itself"));
  EXPECT_THAT(message_of(with(R"([{"role":"user","content":"a"},{"role":"assistant","content":"{"}])")),
              HasSubstr("the last one must be the user's"));
  EXPECT_THAT(message_of(with("[]")), HasSubstr("at least one message"));
  EXPECT_THAT(message_of(with(hi, R"("tool_choice":{"type":"any"})")), HasSubstr("needs 'tools'"));
}

TEST(MessagesRequest, CountsWithoutALimit) {
  const auto call = parse_count(R"({"model":"m","messages":[{"role":"user","content":"Hi"}]})");
  ASSERT_TRUE(call.has_value());
  EXPECT_TRUE(call->chat.counts_only);
  EXPECT_EQ(call->make_writer({})->whole({}, {.prompt_tokens = 7}, {}), R"({"input_tokens":7})");
}

// The types of a stream's events, in order; each one's data must be JSON of that type.
std::vector<std::string> event_types(const std::string& stream) {
  std::vector<std::string> types;
  net::SseParser parser([&](const net::SseEvent& event) {
    if (!event.comment.empty()) return;
    simdjson::dom::parser json;
    simdjson::dom::element root;
    std::string_view type;
    ASSERT_EQ(json.parse(event.data).get(root), simdjson::SUCCESS) << event.data;
    ASSERT_EQ(root["type"].get(type), simdjson::SUCCESS);
    EXPECT_EQ(type, event.event);
    types.emplace_back(type);
  });
  EXPECT_TRUE(parser.feed(stream).has_value());
  return types;
}

TEST(MessagesWriter, BlocksOpenAndCloseInOrder) {
  const auto writer = make_messages_writer({.id = "x"}, "m");
  std::string out;
  writer->begin(out);
  writer->reasoning(out, 0, "Hm.");
  writer->text(out, 0, "Wait", {});
  writer->text(out, 0, "", {});
  writer->tool_call(out, 0, {.id = "t1", .name = "f"});
  writer->tool_call(out, 0, {.arguments = "{\"a\":"});
  writer->tool_call(out, 0, {.index = 1, .id = "t2", .name = "g", .arguments = "{}"});
  writer->choice_end(out, 0, {});
  writer->finish(out, {.prompt_tokens = 9, .cached_tokens = 4, .completion_tokens = 3}, {});
  EXPECT_THAT(event_types(out),
              ElementsAre("message_start", "content_block_start", "content_block_delta", "content_block_delta",
                          "content_block_stop", "content_block_start", "content_block_delta", "content_block_stop",
                          "content_block_start", "content_block_delta", "content_block_stop", "content_block_start",
                          "content_block_delta", "content_block_stop", "message_delta", "message_stop"));
  EXPECT_THAT(out, HasSubstr(R"("index":3,"content_block":{"type":"tool_use","id":"t2","name":"g","input":{}})"));
  EXPECT_THAT(out, HasSubstr(R"("stop_reason":"tool_use")"));
  EXPECT_THAT(out, HasSubstr(R"("usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,)"
                             R"("output_tokens":3})"));
}

constexpr const char* kAdvisor = R"("tools":[{"type":"advisor_20260301","name":"advisor","model":"any","max_uses":2}])";

TEST(Advisor, IsTheHubsOwnAndShowsItsBlocks) {
  const std::string hi = R"([{"role":"user","content":"Hi"}])";
  const auto call = parse_call(with(hi, kAdvisor));
  ASSERT_TRUE(call.has_value()) << call.error().message;
  EXPECT_TRUE(call->chat.tools.empty());
  EXPECT_FALSE(call->chat.advice) << "whether to ask is the configuration's business";
  std::string out;
  const auto writer = call->make_writer({.id = "x"});
  writer->begin(out);
  writer->advice(out, "Mind the gap.");
  writer->text(out, 0, "Yes.", {});
  writer->choice_end(out, 0, {});
  writer->finish(out, {}, {});
  EXPECT_THAT(event_types(out),
              ElementsAre("message_start", "content_block_start", "content_block_stop", "content_block_start",
                          "content_block_stop", "content_block_start", "content_block_delta", "content_block_stop",
                          "message_delta", "message_stop"));
  const Choice choice{.text = "Yes.", .advice = {"Mind the gap."}};
  EXPECT_THAT(call->make_writer({.id = "x"})->whole({&choice, 1}, {}, {}),
              HasSubstr(R"("content":[{"type":"server_tool_use","id":"srvtoolu_x00","name":"advisor","input":{}},)"
                        R"({"type":"advisor_tool_result","tool_use_id":"srvtoolu_x00","content":)"
                        R"({"type":"advisor_result","text":"Mind the gap."}},{"type":"text","text":"Yes."}])"));
  EXPECT_THAT(make_messages_writer({}, "m")->whole({&choice, 1}, {}, {}), Not(HasSubstr("advisor"))) << "not offered";
}

TEST(Advisor, CanBeAskedForAndIsReplayed) {
  const auto asked = parsed(with(R"([{"role":"user","content":"Hi"}])",
                                 std::string(kAdvisor) + R"(,"tool_choice":{"type":"tool","name":"advisor"})"));
  EXPECT_EQ(asked.advice, hub::AdviceMode::kAlways);
  EXPECT_EQ(asked.tool_choice, hub::ToolChoice::kAuto);
  const auto replayed = parsed(with(R"([{"role":"user","content":"a"},{"role":"assistant","content":[
    {"type":"server_tool_use","id":"s","name":"advisor","input":{}},
    {"type":"advisor_tool_result","tool_use_id":"s","content":{"type":"advisor_result","text":"Mind the gap."}},
    {"type":"text","text":"Yes."}]},{"role":"user","content":"b"}])"));
  EXPECT_EQ(replayed.messages[1].reasoning, "Mind the gap.");
  EXPECT_EQ(replayed.messages[1].content, "Yes.");
}

TEST(MessagesWriter, SaysWhyItStopped) {
  const auto writer = make_messages_writer({.id = "x"}, "m");
  const auto whole = [&](const hub::ChoiceEnd& end) {
    const Choice choice{.text = "a", .end = end};
    return writer->whole({&choice, 1}, {}, {});
  };
  EXPECT_THAT(whole({}), HasSubstr(R"("stop_reason":"end_turn","stop_sequence":null)"));
  EXPECT_THAT(whole({engine::FinishReason::kStop, "END"}),
              HasSubstr(R"("stop_reason":"stop_sequence","stop_sequence":"END")"));
  EXPECT_THAT(whole({engine::FinishReason::kLength, ""}), HasSubstr(R"("stop_reason":"max_tokens")"));
}

TEST(MessagesWriter, ArgumentsThatAreNoObjectAreNone) {
  const Choice choice{.tool_calls = {{.id = "t", .name = "f", .arguments = "{\"a\":"}}};
  EXPECT_THAT(make_messages_writer({}, "m")->whole({&choice, 1}, {}, {}), HasSubstr(R"("input":{})"));
}

TEST(AnthropicError, HasItsTypes) {
  EXPECT_EQ(anthropic::render_error({.status = 404, .message = "no \"x\""}),
            R"({"type":"error","error":{"type":"not_found_error","message":"no \"x\""}})");
  EXPECT_THAT(anthropic::render_error({.status = 500, .message = ""}), HasSubstr("api_error"));
  EXPECT_THAT(anthropic::render_error({.status = 503, .message = ""}), HasSubstr("overloaded_error"));
}

}  // namespace
}  // namespace hearth::api::anthropic

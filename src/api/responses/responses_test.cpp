// OpenAI's responses: what is taken of a request, and that a stream's events fit together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "api/responses/responses_request.h"
#include "api/responses/responses_writer.h"
#include "net/sse.h"

namespace hearth::api::responses {
namespace {

using hub::Role;
using testing::ElementsAre;
using testing::HasSubstr;

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

TEST(ResponsesRequest, EveryFieldFindsItsPlace) {
  const auto r = parsed(R"({"model":"m","instructions":"Be brief.","input":"Hi","max_output_tokens":9,
    "temperature":0.2,"top_p":0.5,"top_logprobs":3,"include":["message.output_text.logprobs","reasoning.encrypted_content"],
    "tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":true},{"type":"web_search"},
             {"type":"custom","name":"patch","description":"text"}],
    "tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false,"reasoning":{"effort":"low","summary":"auto"},
    "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}},"verbosity":"low"},"store":false,
    "prompt_cache_key":"k","truncation":"auto"})");
  ASSERT_EQ(r.messages.size(), 2U);
  EXPECT_EQ(r.messages[0].role, Role::kSystem);
  EXPECT_EQ(r.messages[1].content, "Hi");
  EXPECT_EQ(r.max_tokens, 9U);
  EXPECT_EQ(r.n_top_logprobs, 3U);
  EXPECT_TRUE(r.wants_logprobs);
  ASSERT_EQ(r.tools.size(), 2U);
  EXPECT_EQ(r.tools[0].definition, R"({"name":"f","parameters":{"type":"object"}})");
  EXPECT_THAT(r.tools[1].parameters, HasSubstr(R"("required":["input"])"));
  EXPECT_EQ(r.tool_name, "f");
  EXPECT_FALSE(r.parallel_tool_calls);
  EXPECT_EQ(r.reasoning_effort, "low");
  EXPECT_NE(r.grammar, nullptr);
  EXPECT_FALSE(r.may_store);
}

TEST(ResponsesRequest, ItemsBecomeTurns) {
  const auto r = parsed(R"({"model":"m","input":[
    {"role":"developer","content":"Be brief."},
    {"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
    {"type":"reasoning","id":"rs","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}],"encrypted_content":null},
    {"type":"function_call","id":"fc","call_id":"c1","name":"f","arguments":"{}","status":"completed"},
    {"type":"custom_tool_call","call_id":"c2","name":"patch","input":"x\ny"},
    {"type":"function_call_output","call_id":"c1","output":"one"},
    {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done.","annotations":[]}]}]})");
  ASSERT_EQ(r.messages.size(), 6U);
  EXPECT_EQ(r.messages[1].content, "a\nb");
  EXPECT_EQ(r.messages[2].role, Role::kAssistant);
  EXPECT_EQ(r.messages[2].reasoning, "Hm.");
  ASSERT_EQ(r.messages[2].tool_calls.size(), 2U);
  EXPECT_EQ(r.messages[2].tool_calls[1].arguments, R"({"input":"x\ny"})");
  EXPECT_EQ(r.messages[3].tool_call_id, "c1");
  EXPECT_EQ(r.messages[4].content, "two");
  EXPECT_EQ(r.messages[5].content, "Done.");
}

TEST(ResponsesRequest, RefusesInOneSentence) {
  EXPECT_THAT(message_of(R"({"model":"m"})"), HasSubstr("'input'"));
  EXPECT_THAT(message_of(R"({"model":"m","input":"a","previous_response_id":"r"})"), HasSubstr("keeps no responses"));
  EXPECT_THAT(message_of(R"({"model":"m","input":"a","background":true})"), HasSubstr("'background'"));
  EXPECT_THAT(message_of(R"({"model":"m","input":[{"type":"item_reference","id":"x"}]})"), HasSubstr("item_reference"));
  EXPECT_THAT(message_of(R"({"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]})"),
              HasSubstr("read text only"));
}

TEST(CustomTools, TextGoesThere) {
  EXPECT_EQ(custom_input(custom_arguments("a \"b\"\n")), "a \"b\"\n");
  EXPECT_EQ(custom_input("no json"), "no json");
}

// A stream's events without what repeats the whole response; each must be JSON of its type, and numbered.
std::vector<std::string> event_types(const std::string& stream) {
  std::vector<std::string> types;
  net::SseParser parser([&](const net::SseEvent& event) {
    if (!event.comment.empty()) return;
    simdjson::dom::parser json;
    simdjson::dom::element root;
    std::string_view type;
    std::uint64_t number = 0;
    ASSERT_EQ(json.parse(event.data).get(root), simdjson::SUCCESS) << event.data;
    ASSERT_EQ(root["type"].get(type), simdjson::SUCCESS);
    ASSERT_EQ(root["sequence_number"].get(number), simdjson::SUCCESS);
    EXPECT_EQ(number, types.size());
    EXPECT_EQ(type, event.event);
    types.emplace_back(type.substr(9));  // "response."
  });
  EXPECT_TRUE(parser.feed(stream).has_value());
  return types;
}

TEST(ResponsesWriter, ItemsComeOneAfterTheOther) {
  const auto writer = make_responses_writer({.id = "x"}, {.model = "m", .custom_tools = {"patch"}});
  std::string out;
  writer->begin(out);
  writer->reasoning(out, 0, "Hm.");
  writer->text(out, 0, "Wait", {});
  writer->text(out, 0, ".", {});
  writer->tool_call(out, 0, {.id = "c1", .name = "f", .arguments = "{}"});
  writer->tool_call(out, 0, {.index = 1, .id = "c2", .name = "patch", .arguments = R"({"input":)"});
  writer->tool_call(out, 0, {.index = 1, .arguments = R"("x"})"});
  writer->choice_end(out, 0, {});
  writer->finish(out, {.prompt_tokens = 2, .completion_tokens = 3}, {});
  EXPECT_THAT(event_types(out),
              ElementsAre("created", "in_progress", "output_item.added", "content_part.added", "reasoning_text.delta",
                          "reasoning_text.done", "content_part.done", "output_item.done", "output_item.added",
                          "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
                          "content_part.done", "output_item.done", "output_item.added",
                          "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
                          "output_item.added", "custom_tool_call_input.done", "output_item.done", "completed"));
  EXPECT_THAT(out, HasSubstr(R"("type":"custom_tool_call","id":"ctc_x0003","status":"completed","call_id":"c2",)"
                             R"("name":"patch","input":"x")"));
  EXPECT_THAT(out, HasSubstr(R"("output_tokens":3)"));
}

TEST(ResponsesWriter, WholeAnswersAndErrors) {
  const auto writer = make_responses_writer({.id = "x", .created_unix_us = 5'000'000}, {.model = "m"});
  const Choice choice{.text = "a", .end = {engine::FinishReason::kLength, ""}};
  const std::string whole = writer->whole({&choice, 1}, {}, {});
  EXPECT_THAT(whole, HasSubstr(R"("status":"incomplete")"));
  EXPECT_THAT(whole, HasSubstr(R"("incomplete_details":{"reason":"max_output_tokens"})"));
  EXPECT_THAT(whole, HasSubstr(R"("content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}])"));
  std::string out;
  writer->begin(out);
  writer->error(out, {.message = "broke", .code = "internal"});
  EXPECT_THAT(event_types(out), ElementsAre("created", "in_progress", "failed"));
  EXPECT_THAT(out, HasSubstr(R"("error":{"code":"internal","message":"broke"})"));
}

}  // namespace
}  // namespace hearth::api::responses

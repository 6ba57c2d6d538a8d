// Answers are valid JSON whatever the model says, and have the shape that strict clients expect.
#include "api/openai/response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <cmath>
#include <limits>

#include "api/json_writer.h"
#include "net/sse.h"

namespace hearth::api::openai {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The element at a JSON pointer, as compact JSON text; fails the test for text that is no JSON.
std::string at(const std::string& json, const char* pointer) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const auto error = parser.parse(json).get(root);
  EXPECT_EQ(error, simdjson::SUCCESS) << json;
  simdjson::dom::element found;
  if (error || root.at_pointer(pointer).get(found)) return "absent";
  return simdjson::minify(found);
}

// The data of each event of a stream.
std::vector<std::string> events(const std::string& stream) {
  std::vector<std::string> out;
  net::SseParser parser([&](const net::SseEvent& e) { out.push_back(e.data); });
  EXPECT_TRUE(parser.feed(stream).has_value());
  EXPECT_FALSE(parser.inside_event());
  return out;
}

engine::TokenEvent token(std::string bytes, float logprob) {
  engine::TokenEvent e;
  e.text = bytes;
  e.token = {.id = 1, .bytes = std::move(bytes), .logprob = logprob};
  e.top = {{.id = 1, .bytes = e.token.bytes, .logprob = logprob}, {.id = 2, .bytes = "z", .logprob = -3}};
  return e;
}

AnswerHead head_of(Endpoint endpoint, bool logprobs = false, bool include_usage = false) {
  return {.endpoint = endpoint, .id = "id-1", .created_unix_s = 1700000000, .model = "m",
          .logprobs = logprobs, .include_usage = include_usage};
}

const hub::Usage kUsage{.prompt_tokens = 5, .cached_tokens = 2, .completion_tokens = 3};

hub::Receipt receipt() {
  hub::Receipt r;
  r.id = "r-1";
  r.model = "ember";
  r.confidence = 0.75F;
  r.advice = hub::AdviceOutcome::kNotConfigured;
  return r;
}

TEST(JsonWriter, AnyBytesMakeValidJson) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  all += "\xE2\x82\xAC \xE2\x80\xA8 \xF0\x9F\x98\x80 \xED\xA0\x80 \"\\ \xE2\x82";
  std::string json;
  append_json_string(json, all);
  simdjson::dom::parser parser;
  std::string_view back;
  ASSERT_EQ(parser.parse(json).get_string().get(back), simdjson::SUCCESS);
  EXPECT_THAT(std::string(back), HasSubstr("\xE2\x82\xAC \xE2\x80\xA8 \xF0\x9F\x98\x80 "));
  EXPECT_TRUE(back.starts_with(all.substr(0, 128)));
  EXPECT_TRUE(back.ends_with("\"\\ \xEF\xBF\xBD\xEF\xBF\xBD"));
}

TEST(JsonWriter, NumbersAndCommas) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("a").value(0.1F).key("b").value(1e300).key("c").value(-3).key("d");
  json.begin_array().value(true).null().value("").begin_object().end_object().end_array();
  json.key("e").value(std::numeric_limits<double>::infinity()).end_object();
  EXPECT_EQ(out, R"({"a":0.1,"b":1e+300,"c":-3,"d":[true,null,"",{}],"e":null})");
}

TEST(OpenAiResponse, AWholeChatAnswer) {
  const Choice choices[] = {{.text = "Hello \"you\"\n"}, {.text = "b", .end = {engine::FinishReason::kLength, ""}}};
  const std::string json = render_answer(head_of(Endpoint::kChat), choices, kUsage, receipt());
  EXPECT_EQ(at(json, "/object"), R"("chat.completion")");
  EXPECT_EQ(at(json, "/created"), "1700000000");
  EXPECT_EQ(at(json, "/choices/0/message"),
            R"({"role":"assistant","content":"Hello \"you\"\n","refusal":null})");
  EXPECT_EQ(at(json, "/choices/0/finish_reason"), R"("stop")");
  EXPECT_EQ(at(json, "/choices/0/logprobs"), "null");
  EXPECT_EQ(at(json, "/choices/1/index"), "1");
  EXPECT_EQ(at(json, "/choices/1/finish_reason"), R"("length")");
  EXPECT_EQ(at(json, "/usage/total_tokens"), "8");
  EXPECT_EQ(at(json, "/usage/prompt_tokens_details/cached_tokens"), "2");
  EXPECT_EQ(at(json, "/hearth/id"), R"("r-1")");
  EXPECT_EQ(at(json, "/hearth/advice"), R"("not_configured")");
}

TEST(OpenAiResponse, ChatLogprobsCarryBytes) {
  const Choice choices[] = {{.text = "\xE2\x82\xAC", .tokens = {token("\xE2\x82", -0.5F), token("\xAC", -INFINITY)}}};
  const std::string json = render_answer(head_of(Endpoint::kChat, true), choices, kUsage, receipt());
  EXPECT_EQ(at(json, "/choices/0/logprobs/content/0/bytes"), "[226,130]");
  EXPECT_EQ(at(json, "/choices/0/logprobs/content/0/logprob"), "-0.5");
  EXPECT_EQ(at(json, "/choices/0/logprobs/content/0/top_logprobs/1/token"), R"("z")");
  EXPECT_EQ(at(json, "/choices/0/logprobs/content/1/logprob"), "-9999");
  EXPECT_EQ(at(json, "/choices/0/logprobs/refusal"), "null");
}

TEST(OpenAiResponse, CompletionLogprobsHaveTheOlderShape) {
  const Choice choices[] = {{.text = "ab", .tokens = {token("a", -1), token("b", -2)}}};
  const std::string json = render_answer(head_of(Endpoint::kCompletion, true), choices, kUsage, receipt());
  EXPECT_EQ(at(json, "/object"), R"("text_completion")");
  EXPECT_EQ(at(json, "/choices/0/text"), R"("ab")");
  EXPECT_EQ(at(json, "/choices/0/logprobs/tokens"), R"(["a","b"])");
  EXPECT_EQ(at(json, "/choices/0/logprobs/text_offset"), "[0,1]");
  EXPECT_EQ(at(json, "/choices/0/logprobs/top_logprobs/0/z"), "-3");
}

TEST(OpenAiResponse, AChatStream) {
  const ChunkRenderer chunks(head_of(Endpoint::kChat, false, true));
  std::string stream;
  chunks.role(stream, 0);
  chunks.text(stream, 0, "Hi\n\n", token("Hi\n\n", -1), 0);
  chunks.text(stream, 0, "", token("x", -1), 0);  // Held back: no event.
  const hub::Receipt r = receipt();
  chunks.finish(stream, 0, engine::FinishReason::kStop, false, nullptr);
  chunks.usage(stream, kUsage, r);
  ChunkRenderer::done(stream);
  const auto data = events(stream);
  ASSERT_EQ(data.size(), 5U);
  EXPECT_EQ(at(data[0], "/choices/0/delta"), R"({"role":"assistant","content":""})");
  EXPECT_EQ(at(data[0], "/object"), R"("chat.completion.chunk")");
  EXPECT_EQ(at(data[0], "/usage"), "null");
  EXPECT_EQ(at(data[1], "/choices/0/delta"), R"({"content":"Hi\n\n"})");
  EXPECT_EQ(at(data[1], "/choices/0/finish_reason"), "null");
  EXPECT_EQ(at(data[2], "/choices/0/delta"), "{}");
  EXPECT_EQ(at(data[2], "/choices/0/finish_reason"), R"("stop")");
  EXPECT_EQ(at(data[3], "/choices"), "[]");
  EXPECT_EQ(at(data[3], "/usage/prompt_tokens"), "5");
  EXPECT_EQ(at(data[3], "/hearth/id"), R"("r-1")");
  EXPECT_EQ(data[4], "[DONE]");
}

TEST(OpenAiResponse, AMessageWithThinkingAndCalls) {
  const Choice choices[] = {
      {.reasoning = "Hm.", .tool_calls = {{"call_1", "f", "{\"a\": \"\n\"}"}, {"call_2", "g", "{}"}}},
      {.text = "Both.", .tool_calls = {{"call_3", "f", "{"}}, .end = {engine::FinishReason::kLength, ""}}};
  const std::string json = render_answer(head_of(Endpoint::kChat), choices, kUsage, receipt());
  EXPECT_EQ(at(json, "/choices/0/message/content"), "null");
  EXPECT_EQ(at(json, "/choices/0/message/reasoning_content"), R"("Hm.")");
  EXPECT_EQ(at(json, "/choices/0/message/tool_calls/0"),
            R"({"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": \"\n\"}"}})");
  EXPECT_EQ(at(json, "/choices/0/message/tool_calls/1/id"), R"("call_2")");
  EXPECT_EQ(at(json, "/choices/0/finish_reason"), R"("tool_calls")");
  EXPECT_EQ(at(json, "/choices/1/message/content"), R"("Both.")");
  EXPECT_EQ(at(json, "/choices/1/finish_reason"), R"("length")");
}

TEST(OpenAiResponse, AStreamOfThinkingAndCalls) {
  const ChunkRenderer chunks(head_of(Endpoint::kChat));
  std::string stream;
  chunks.reasoning(stream, 1, "Hm.");
  chunks.tool_call(stream, 1, {.index = 0, .id = "call_1", .name = "f"});
  chunks.tool_call(stream, 1, {.index = 0, .arguments = "{\"a\""});
  chunks.finish(stream, 1, engine::FinishReason::kStop, true, nullptr);
  const auto data = events(stream);
  ASSERT_EQ(data.size(), 4U);
  EXPECT_EQ(at(data[0], "/choices/0/delta"), R"({"reasoning_content":"Hm."})");
  EXPECT_EQ(at(data[0], "/choices/0/index"), "1");
  EXPECT_EQ(at(data[1], "/choices/0/delta/tool_calls/0"),
            R"({"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}})");
  EXPECT_EQ(at(data[2], "/choices/0/delta/tool_calls/0"),
            R"({"index":0,"function":{"arguments":"{\"a\""}})");
  EXPECT_EQ(at(data[2], "/choices/0/finish_reason"), "null");
  EXPECT_EQ(at(data[3], "/choices/0/finish_reason"), R"("tool_calls")");
}

TEST(OpenAiResponse, AStreamWithLogprobsReportsEveryToken) {
  const ChunkRenderer chunks(head_of(Endpoint::kChat, true));
  std::string stream;
  chunks.text(stream, 1, "", token("\xE2\x82", -1), 0);
  chunks.text(stream, 1, "\xE2\x82\xAC", token("\xAC", -2), 0);
  chunks.text(stream, 1, "note", {}, 3);
  const auto data = events(stream);
  ASSERT_EQ(data.size(), 3U);
  EXPECT_EQ(at(data[0], "/choices/0/logprobs/content/0/bytes"), "[226,130]");
  EXPECT_EQ(at(data[0], "/choices/0/index"), "1");
  EXPECT_EQ(at(data[1], "/choices/0/logprobs/content/0/logprob"), "-2");
  EXPECT_EQ(at(data[2], "/choices/0/logprobs"), "null");
}

TEST(OpenAiResponse, ACompletionStream) {
  const ChunkRenderer chunks(head_of(Endpoint::kCompletion, true));
  std::string stream;
  chunks.role(stream, 0);  // Completions have none.
  chunks.text(stream, 0, "b", token("b", -2), 7);
  const hub::Receipt r = receipt();
  chunks.finish(stream, 0, engine::FinishReason::kLength, false, &r);
  const auto data = events(stream);
  ASSERT_EQ(data.size(), 2U);
  EXPECT_EQ(at(data[0], "/choices/0/text"), R"("b")");
  EXPECT_EQ(at(data[0], "/choices/0/logprobs/text_offset"), "[7]");
  EXPECT_EQ(at(data[1], "/choices/0/text"), R"("")");
  EXPECT_EQ(at(data[1], "/choices/0/finish_reason"), R"("length")");
  EXPECT_EQ(at(data[1], "/hearth/id"), R"("r-1")");
}

TEST(OpenAiResponse, Models) {
  const hub::ModelEntry models[] = {{.name = "a", .bytes = 7, .n_context = 99}, {.name = "b/c"}};
  const std::string json = render_models(models, 17);
  EXPECT_EQ(at(json, "/object"), R"("list")");
  EXPECT_EQ(at(json, "/data/0/id"), R"("a")");
  EXPECT_EQ(at(json, "/data/0/created"), "17");
  EXPECT_EQ(at(json, "/data/1/object"), R"("model")");
  EXPECT_EQ(at(render_model(models[0], 17), "/hearth/context_tokens"), "99");
}

TEST(ErrorStatus, EveryCodeHasOneStatus) {
  const std::pair<Code, unsigned> expected[] = {
      {Code::kInvalidArgument, 400}, {Code::kNotFound, 404},    {Code::kPermissionDenied, 403},
      {Code::kUnsupported, 400},     {Code::kUnavailable, 503}, {Code::kOutOfBudget, 429},
      {Code::kCancelled, 503},       {Code::kCorrupt, 500},     {Code::kInternal, 500}};
  for (const auto& [code, status] : expected) {
    const ApiError e = api_error(Error{code, "text"});
    EXPECT_EQ(e.status, status);
    EXPECT_EQ(e.retry_after_s.has_value(), status == 503 || status == 429);
  }
}

TEST(ErrorStatus, ContextOverflowAndUnknownModelHaveTheCodesClientsKnow) {
  const ApiError overflow = api_error(Error{Code::kInvalidArgument,
      "the prompt has 9000 tokens, which exceeds the available context size of 8192 tokens"});
  EXPECT_EQ(overflow.code, "context_length_exceeded");
  EXPECT_EQ(overflow.status, 400U);
  const ApiError model = api_error(Error{Code::kNotFound, "no model named 'x'; there are: ember"});
  EXPECT_EQ(model.code, "model_not_found");
  EXPECT_EQ(model.param, "model");
}

TEST(ErrorStatus, TheApisShape) {
  const std::string json = render_error({.message = "Bad \"thing\".", .param = "n", .code = "c"});
  EXPECT_EQ(json, R"({"error":{"message":"Bad \"thing\".","type":"invalid_request_error",)"
                  R"("param":"n","code":"c"}})");
  EXPECT_EQ(at(render_error(api_error(404U, "x")), "/error/param"), "null");
}

}  // namespace
}  // namespace hearth::api::openai

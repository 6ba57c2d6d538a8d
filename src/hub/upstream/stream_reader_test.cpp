// What other servers answer, and what of it a client is shown.
#include "hub/upstream/stream_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/utf8.h"

namespace hearth::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

struct Collected {
  explicit Collected(StreamLimits limits = {})
      : reader(limits, [this](UpstreamPiece piece) {
          texts[piece.choice] += piece.text;
          reasoning += piece.reasoning;
          for (auto& token : piece.tokens) tokens.push_back(token);
          for (const ToolCallPiece& call : piece.calls) {
            if (call.index >= calls.size()) calls.resize(call.index + 1);
            calls[call.index].id += call.id;
            calls[call.index].name += call.name;
            calls[call.index].arguments += call.arguments;
          }
        }) {}

  void event(std::string json) {
    std::erase(json, '\n');
    reader.feed(fmt::format("data: {}\n\n", json));
  }
  void delta(std::string_view json) { event(fmt::format(R"({{"choices":[{{"index":0,"delta":{}}}]}})", json)); }

  std::map<std::uint32_t, std::string> texts;
  std::string reasoning;
  std::vector<engine::TokenEvent> tokens;
  std::vector<ToolCall> calls;
  StreamReader reader;
};

TEST(StreamReader, ReadsAStream) {
  Collected got;
  got.reader.feed(": comment\n\n");
  got.delta(R"({"role":"assistant","content":""})");
  got.delta(R"({"reasoning_content":"Let me "})");
  got.delta(R"({"reasoning":"see."})");
  got.delta(R"({"content":"Grüße"})");
  EXPECT_FALSE(got.reader.is_complete());
  got.event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})");
  EXPECT_TRUE(got.reader.is_complete());
  got.event(R"({"model":"m1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,
      "prompt_tokens_details":{"cached_tokens":5}}})");
  EXPECT_FALSE(got.reader.feed("data: [DONE]\n\n")) << "nothing more is wanted";
  EXPECT_EQ(got.texts[0], "Grüße");
  EXPECT_EQ(got.reasoning, "Let me see.");
  EXPECT_THAT(got.reader.finish_reasons(), ElementsAre("length"));
  EXPECT_EQ(got.reader.use().prompt_tokens, 7);
  EXPECT_EQ(got.reader.use().cached_tokens, 5);
  EXPECT_EQ(got.reader.model(), "m1");
  EXPECT_FALSE(got.reader.is_garbled());
}

TEST(StreamReader, ReadsOneObjectFromServersThatDoNotStream) {
  Collected got({.n_choices = 2});
  const std::string whole = R"(  {"choices":[{"index":0,"message":{"content":"one"},"finish_reason":"stop"},
      {"index":1,"message":{"content":"two"},"finish_reason":"stop"},{"index":2,"message":{"content":"x"}}]})";
  for (const char c : whole) got.reader.feed(std::string_view(&c, 1));
  got.reader.finish();
  EXPECT_EQ(got.texts[0], "one");
  EXPECT_EQ(got.texts[1], "two");
  EXPECT_EQ(got.texts.count(2), 0U) << "nobody asked for a third choice";
  EXPECT_TRUE(got.reader.is_complete());
}

TEST(StreamReader, ReadsPlainCompletions) {
  Collected got;
  got.event(R"({"choices":[{"index":0,"text":"once "}]})");
  got.event(R"({"choices":[{"index":0,"text":"upon","finish_reason":"stop"}]})");
  EXPECT_EQ(got.texts[0], "once upon");
  EXPECT_TRUE(got.reader.is_complete());
}

TEST(StreamReader, NumbersCallsAnew) {
  Collected got;
  got.delta(R"({"tool_calls":[{"index":3,"id":"a","function":{"name":"f","arguments":""}}]})");
  got.delta(R"({"tool_calls":[{"index":3,"function":{"arguments":"{\"x\":"}}]})");
  got.delta(R"({"tool_calls":[{"index":3,"function":{"name":"f","arguments":"1}"}}]})");
  got.delta(R"({"tool_calls":[{"index":9,"function":{"name":"g","arguments":{"y":2}}}]})");
  ASSERT_EQ(got.calls.size(), 2U);
  EXPECT_EQ(got.calls[0].id, "a");
  EXPECT_EQ(got.calls[0].name, "f");
  EXPECT_EQ(got.calls[0].arguments, R"({"x":1})");
  EXPECT_THAT(got.calls[1].id, StartsWith("call_"));
  EXPECT_EQ(got.calls[1].arguments, R"({"y":2})");
}

TEST(StreamReader, TellsCallsWithoutNumbersApart) {
  Collected got;
  got.delta(R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},
                              {"id":"b","function":{"name":"f","arguments":"[]"}}]})");
  got.delta(R"({"tool_calls":[{"function":{"name":"h","arguments":"1"}},{"function":{"arguments":"2"}}]})");
  ASSERT_EQ(got.calls.size(), 3U);
  EXPECT_EQ(got.calls[0].arguments, "{}");
  EXPECT_EQ(got.calls[1].arguments, "[]");
  EXPECT_EQ(got.calls[2].arguments, "12");
}

TEST(StreamReader, ReadsLogProbabilities) {
  Collected got({.n_top_logprobs_max = 1});
  got.event(R"({"choices":[{"index":0,"delta":{"content":"ab"},"logprobs":{"content":[
      {"token":"a","logprob":-0.25,"bytes":[97],"top_logprobs":[{"token":"a","logprob":-0.25},{"token":"z","logprob":-2}]},
      {"token":"b","logprob":4e9,"bytes":null}, 7]}}]})");
  ASSERT_EQ(got.tokens.size(), 2U);
  EXPECT_EQ(got.tokens[0].token.bytes, "a");
  EXPECT_FLOAT_EQ(got.tokens[0].token.logprob, -0.25F);
  EXPECT_EQ(got.tokens[0].top.size(), 1U);
  EXPECT_EQ(got.tokens[1].token.logprob, 0) << "no probability exceeds one";
}

TEST(StreamReader, KeepsErrorsShort) {
  Collected got;
  got.event(fmt::format(R"({{"error":{{"message":"{}","code":429}}}})", std::string(5000, 'x')));
  EXPECT_TRUE(got.reader.error().is_set());
  EXPECT_LT(got.reader.error().message.size(), 400U);
  EXPECT_EQ(got.reader.error().code, "429");
}

TEST(StreamReader, NonsenseIsGarbled) {
  for (const char* const bytes : {"data: not json\n\n", "data: [1,2]\n\n", "data: \"text\"\n\n", "[1,2]"}) {
    Collected got;
    got.reader.feed(bytes);
    got.reader.finish();
    EXPECT_TRUE(got.reader.is_garbled()) << bytes;
    EXPECT_FALSE(got.reader.is_complete()) << bytes;
  }
}

TEST(StreamReader, WrongTypesArePassedOver) {
  Collected got;
  got.delta(R"({"content":5,"reasoning_content":[],"tool_calls":"f"})");
  got.delta(R"({"content":null,"tool_calls":[1,{},{"function":7}]})");
  got.event(R"({"choices":"none","usage":[],"error":null})");
  got.event(R"({"choices":[7,{"index":-4,"delta":{"content":"no"}},{"index":1e18,"delta":{"content":"no"}}]})");
  EXPECT_TRUE(got.texts.empty());
  EXPECT_TRUE(got.calls.empty());
  EXPECT_FALSE(got.reader.is_garbled());
}

TEST(StreamReader, InvalidUtf8BecomesReplacementCharacters) {
  Collected got;
  got.delta("{\"content\":\"a\xff\xc3(\"}");
  EXPECT_EQ(got.texts[0], "a\xEF\xBF\xBD\xEF\xBF\xBD(");
}

TEST(StreamReader, LimitsHoldOnBothSides) {
  Collected fits({.text_bytes_max = 6});
  fits.delta(R"({"content":"äöü"})");
  EXPECT_FALSE(fits.reader.is_cut());
  Collected over({.text_bytes_max = 5});
  over.delta(R"({"content":"äöü"})");
  EXPECT_TRUE(over.reader.is_cut());
  EXPECT_EQ(over.texts[0], "äö");
  EXPECT_FALSE(over.reader.feed("data: {}\n\n"));

  Collected calls({.calls_max = 1});
  calls.delta(R"({"tool_calls":[{"index":0,"function":{"name":"f"}}]})");
  EXPECT_FALSE(calls.reader.is_cut());
  calls.delta(R"({"tool_calls":[{"index":1,"function":{"name":"g"}}]})");
  EXPECT_TRUE(calls.reader.is_cut());
}

}  // namespace
}  // namespace hearth::hub

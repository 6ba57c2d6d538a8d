// The wires: what each one sends, and what it makes of streams as their providers send them, however cut.
#include "advisor/wire/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "advisor/wire/answer_reader.h"
#include "base/file.h"

namespace hearth::advisor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// What a reader made of an answer.
struct Read {
  std::string text, reasoning, calls, finish, carried;
  TokenUse use;
  ProviderError error;
  bool is_complete = false, is_garbled = false;
};

Read read(Wire wire, std::string_view bytes, std::size_t piece_bytes = SIZE_MAX) {
  Read all;
  AnswerReader reader(wire_format(wire), {}, [&](const AnswerPiece& piece) {
    all.text += piece.text;
    all.reasoning += piece.reasoning;
    for (const AnswerCall& call : piece.calls) {
      if (!call.name.empty()) all.calls += "[" + call.id + " " + call.name + "]";
      all.calls += call.arguments;
    }
  });
  while (!bytes.empty() && reader.feed(bytes.substr(0, piece_bytes))) {
    bytes.remove_prefix(std::min(piece_bytes, bytes.size()));
  }
  reader.finish();
  all.finish = reader.finish_reason();
  all.carried = reader.carried(0);
  all.use = reader.use();
  all.error = reader.error();
  all.is_complete = reader.is_complete();
  all.is_garbled = reader.is_garbled();
  return all;
}

// Of the corpus: a stream as its provider sends it, behind the byte that names the wire.
std::string recorded(const char* name) {
  const std::filesystem::path folder = std::filesystem::path(HEARTH_SOURCE_DIR) / "fuzz/corpus/answer";
  return read_file(folder / name, 1 << 20).value().substr(1);
}

TEST(Wires, EachFindsItsRow) {
  for (const WireFormat& wire : wires()) {
    EXPECT_EQ(&wire_format(wire.wire), &wire);
    EXPECT_EQ(find_wire(wire.name), &wire);
  }
  EXPECT_EQ(find_wire("telegraph"), nullptr);
  EXPECT_EQ(wire_of("telegraph", "api.openai.com"), nullptr);
  EXPECT_EQ(wire_of("", "api.openai.com")->wire, Wire::kOpenAi);
  EXPECT_EQ(wire_of("", "api.anthropic.com")->wire, Wire::kAnthropic);
  EXPECT_EQ(wire_of("", "generativelanguage.googleapis.com")->wire, Wire::kGemini);
  EXPECT_EQ(wire_of("", "example.com")->wire, Wire::kChat);
  EXPECT_EQ(wire_of("responses", "api.openai.com")->wire, Wire::kResponses);
}

TEST(Wires, AddressesAndKeys) {
  const auto headers_of = [](Wire wire) {
    std::string lines;
    for (const net::HttpHeader& header : wire_headers(wire_format(wire), "k-1")) {
      lines += header.name + ": " + header.value + (header.secret ? " (secret)\n" : "\n");
    }
    return lines;
  };
  EXPECT_EQ(wire_format(Wire::kResponses).url("https://h/v1", "m"), "https://h/v1/responses");
  EXPECT_EQ(wire_format(Wire::kAnthropic).url("https://h/v1", "m"), "https://h/v1/messages");
  EXPECT_EQ(wire_format(Wire::kGemini).url("https://h/v1beta", "gemini-x"),
            "https://h/v1beta/models/gemini-x:streamGenerateContent?alt=sse");
  EXPECT_THAT(headers_of(Wire::kChat), HasSubstr("Authorization: Bearer k-1 (secret)"));
  EXPECT_THAT(headers_of(Wire::kAnthropic),
              AllOf(HasSubstr("x-api-key: k-1 (secret)"), HasSubstr("anthropic-version: 2023-06-01\n"),
                    Not(HasSubstr("Authorization"))));
  EXPECT_THAT(headers_of(Wire::kGemini), HasSubstr("x-goog-api-key: k-1 (secret)"));
  for (const WireFormat& wire : wires()) {
    for (const net::HttpHeader& header : wire_headers(wire, "")) EXPECT_FALSE(header.secret) << wire.name;
  }
}

// ---- Bodies --------------------------------------------------------------------------------------

WireRequest conversation() {
  return {.model = "m",
          .system = "Be brief.",
          .turns = {{.text = "Weather in Oslo?"},
                    {.role = WireTurn::Role::kAssistant,
                     .text = "Looking.",
                     .calls = {{"c1", "weather", R"({"city":"Oslo"})", ""}}},
                    {.role = WireTurn::Role::kTool, .text = "rain", .call_id = "c1"},
                    {.text = "And tomorrow?"}},
          .tools = {{"weather", "Tells it.", R"({"type":"object","properties":{"city":{"type":"string"}}})"}},
          .max_tokens = 77,
          .temperature = 0.5};
}

Json body_of(Wire wire, const WireRequest& request) {
  return Json::parse(wire_format(wire).body(request));
}

TEST(Bodies, ChatAndItsKin) {
  const Json chat = body_of(Wire::kChat, conversation());
  EXPECT_EQ(chat["messages"].size(), 5U);
  EXPECT_EQ(chat["messages"][2]["tool_calls"][0]["function"]["arguments"], R"({"city":"Oslo"})");
  EXPECT_EQ(chat["messages"][3], Json::parse(R"({"role":"tool","tool_call_id":"c1","content":"rain"})"));
  EXPECT_EQ(chat["max_tokens"], 77);
  EXPECT_EQ(chat["stream_options"]["include_usage"], true);
  EXPECT_FALSE(chat.contains("store"));
  const Json openai = body_of(Wire::kOpenAi, conversation());
  EXPECT_EQ(openai["max_completion_tokens"], 77);
  EXPECT_EQ(openai["store"], false);
  const Json hearth = body_of(Wire::kHearth, conversation());
  EXPECT_EQ(hearth["hearth"]["advice"], "never");
}

TEST(Bodies, Responses) {
  WireRequest request = conversation();
  request.turns[1].calls[0].carried = R"({"type":"reasoning","summary":[],"encrypted_content":"x"})";
  request.reasoning_effort = "low";
  request.tool_name = "weather";
  const Json body = body_of(Wire::kResponses, request);
  EXPECT_EQ(body["instructions"], "Be brief.");
  EXPECT_EQ(body["store"], false);
  EXPECT_EQ(body["max_output_tokens"], 77);
  ASSERT_EQ(body["input"].size(), 6U);
  EXPECT_EQ(body["input"][2]["encrypted_content"], "x");
  EXPECT_EQ(body["input"][3]["call_id"], "c1");
  EXPECT_EQ(body["input"][4], Json::parse(R"({"type":"function_call_output","call_id":"c1","output":"rain"})"));
  EXPECT_EQ(body["tools"][0]["name"], "weather");
  EXPECT_EQ(body["tool_choice"], Json::parse(R"({"type":"function","name":"weather"})"));
  EXPECT_EQ(body["include"], Json::parse(R"(["reasoning.encrypted_content"])"));
}

TEST(Bodies, Anthropic) {
  WireRequest request = conversation();
  request.turns[1].calls[0].carried = R"([{"type":"thinking","thinking":"t","signature":"s"}])";
  request.tool_choice = WireToolChoice::kRequired;
  request.parallel_calls = false;
  request.stop = {"END"};
  const Json body = body_of(Wire::kAnthropic, request);
  EXPECT_EQ(body["max_tokens"], 77);
  EXPECT_EQ(body["system"], Json::parse(R"([{"type":"text","text":"Be brief."}])"));
  ASSERT_EQ(body["messages"].size(), 3U) << "results and the next question are one message";
  EXPECT_EQ(body["messages"][1]["content"][0]["signature"], "s");
  EXPECT_EQ(body["messages"][1]["content"][2]["input"], Json::parse(R"({"city":"Oslo"})"));
  EXPECT_EQ(body["messages"][2]["content"][0]["tool_use_id"], "c1");
  EXPECT_EQ(body["tools"][0]["input_schema"]["type"], "object");
  EXPECT_EQ(body["tool_choice"], Json::parse(R"({"type":"any","disable_parallel_tool_use":true})"));
  EXPECT_EQ(body["stop_sequences"], Json::parse(R"(["END"])"));
  request.max_tokens = 0;
  EXPECT_GT(body_of(Wire::kAnthropic, request)["max_tokens"], 0) << "it must be there";
}

TEST(Bodies, AnthropicMarksWhatWillComeAgain) {
  WireRequest request = conversation();
  EXPECT_THAT(wire_format(Wire::kAnthropic).body(request), Not(HasSubstr("cache_control"))) << "too short";
  request.system.assign(20'000, 's');
  const Json body = body_of(Wire::kAnthropic, request);
  EXPECT_EQ(body["system"].back()["cache_control"]["type"], "ephemeral");
  EXPECT_EQ(body["messages"].back()["content"].back()["cache_control"]["type"], "ephemeral");
  request.turns.erase(request.turns.begin(), request.turns.begin() + 3);
  request.tools.clear();
  EXPECT_THAT(wire_format(Wire::kAnthropic).body(request), Not(HasSubstr("cache_control"))) << "asked once";
}

TEST(Bodies, OpenAiNamesACacheForWhatBeginsAlike) {
  WireRequest request = conversation();
  EXPECT_FALSE(body_of(Wire::kResponses, request).contains("prompt_cache_key"));
  request.system.assign(5'000, 's');
  const Json key = body_of(Wire::kResponses, request)["prompt_cache_key"];
  request.turns.back().text = "Something else";
  EXPECT_EQ(body_of(Wire::kOpenAi, request)["prompt_cache_key"], key);
  request.tools[0].description = "Another";
  EXPECT_NE(body_of(Wire::kOpenAi, request)["prompt_cache_key"], key);
}

TEST(Bodies, Gemini) {
  WireRequest request = conversation();
  request.turns[1].calls[0].carried = "c2ln";
  request.schema = R"({"type":"object"})";
  request.reasoning_effort = "high";
  const Json body = body_of(Wire::kGemini, request);
  EXPECT_EQ(body["systemInstruction"], Json::parse(R"({"parts":[{"text":"Be brief."}]})"));
  ASSERT_EQ(body["contents"].size(), 3U);
  EXPECT_EQ(body["contents"][1]["role"], "model");
  EXPECT_EQ(body["contents"][1]["parts"][1]["functionCall"]["args"], Json::parse(R"({"city":"Oslo"})"));
  EXPECT_EQ(body["contents"][1]["parts"][1]["thoughtSignature"], "c2ln");
  EXPECT_EQ(body["contents"][2]["parts"][0]["functionResponse"],
            Json::parse(R"({"id":"c1","name":"weather","response":{"result":"rain"}})"));
  EXPECT_EQ(body["generationConfig"]["maxOutputTokens"], 77);
  EXPECT_EQ(body["generationConfig"]["thinkingConfig"],
            Json::parse(R"({"thinkingLevel":"HIGH","includeThoughts":true})"));
  EXPECT_EQ(body["tools"][0]["functionDeclarations"][0]["name"], "weather");
  EXPECT_FALSE(body.contains("toolConfig"));
  request.tool_name = "weather";
  EXPECT_EQ(body_of(Wire::kGemini, request)["toolConfig"]["functionCallingConfig"],
            Json::parse(R"({"mode":"ANY","allowedFunctionNames":["weather"]})"));
}

TEST(Bodies, WhateverTheTextsAreTheBodyIsJson) {
  WireRequest request = conversation();
  request.system = "\xFF\"\\";
  request.turns[1].calls[0].arguments = "no json";
  request.turns[1].calls[0].carried = "{{{";
  request.turns[2].text = std::string(100'000, '[');
  request.tools[0].parameters = "[]";
  for (const WireFormat& wire : wires()) {
    EXPECT_TRUE(Json::accept(wire.body(request))) << wire.name;
    EXPECT_TRUE(Json::accept(wire.body({}))) << wire.name;
  }
}

// ---- Answers -------------------------------------------------------------------------------------

TEST(Answers, AnthropicsStream) {
  const std::string stream = recorded("anthropic_stream");
  for (std::size_t piece = 1; piece < 40; ++piece) {
    const Read all = read(Wire::kAnthropic, stream, piece);
    EXPECT_EQ(all.text, "Let me look.");
    EXPECT_EQ(all.reasoning, "Which city");
    EXPECT_EQ(all.calls, R"([toolu_1 weather]{"city": "Oslo"})");
    EXPECT_EQ(all.finish, "tool_calls");
    EXPECT_EQ(Json::parse(all.carried),
              Json::parse(R"([{"type":"thinking","thinking":"Which city","signature":"c2ln"}])"));
    EXPECT_EQ(all.use.prompt_tokens, 90);
    EXPECT_EQ(all.use.cached_tokens, 40);
    EXPECT_EQ(all.use.cache_write_tokens, 30);
    EXPECT_EQ(all.use.kept_write_tokens, 10);
    EXPECT_EQ(all.use.completion_tokens, 57);
    EXPECT_TRUE(all.is_complete);
  }
}

TEST(Answers, AnthropicsBrokenStreamKnowsItsInputAlone) {
  const std::string stream = recorded("anthropic_stream");
  const Read all = read(Wire::kAnthropic, std::string_view(stream).substr(0, stream.find("event: message_delta")));
  EXPECT_FALSE(all.is_complete);
  EXPECT_EQ(all.use.prompt_tokens, 90);
  EXPECT_EQ(all.use.completion_tokens, -1) << "the count at the start is not the count at the end";
  const Read error = read(Wire::kAnthropic, recorded("anthropic_error"));
  EXPECT_EQ(error.error.type, "overloaded_error");
  EXPECT_FALSE(error.is_complete);
}

TEST(Answers, AnthropicsObject) {
  const Read all = read(Wire::kAnthropic, recorded("anthropic_object"));
  EXPECT_EQ(all.text, "Hi");
  EXPECT_EQ(all.calls, R"([t f]{"a":1})");
  EXPECT_EQ(all.finish, "length");
  EXPECT_THAT(all.carried, HasSubstr("redacted_thinking"));
  EXPECT_EQ(all.use.completion_tokens, 2);
}

TEST(Answers, ResponsesStream) {
  const std::string stream = recorded("responses_stream");
  for (std::size_t piece = 1; piece < 40; ++piece) {
    const Read all = read(Wire::kResponses, stream, piece);
    EXPECT_EQ(all.text, "Wait \xE2\x82\xAC.");
    EXPECT_EQ(all.reasoning, "Look up.");
    EXPECT_EQ(all.calls, R"([call_9 weather]{"city":"Oslo"})");
    EXPECT_EQ(all.finish, "tool_calls");
    EXPECT_THAT(all.carried, HasSubstr("c2VhbGVk"));
    EXPECT_EQ(all.use.prompt_tokens, 90);
    EXPECT_EQ(all.use.cached_tokens, 64);
    EXPECT_EQ(all.use.cache_write_tokens, 8);
    EXPECT_EQ(all.use.completion_tokens, 30);
    EXPECT_EQ(all.use.reasoning_tokens, 12);
  }
  EXPECT_EQ(read(Wire::kResponses, recorded("responses_error")).error.code, "rate_limit_exceeded");
  const Read object = read(Wire::kResponses, recorded("responses_object"));
  EXPECT_EQ(object.text, "Hino");
  EXPECT_EQ(object.calls, "[c f]{}");
  EXPECT_EQ(object.finish, "length");
}

TEST(Answers, ResponsesThatFailSayWhy) {
  const Read failed = read(Wire::kResponses,
                           "data: {\"type\":\"response.failed\",\"response\":{\"status\":\"failed\",\"error\":"
                           "{\"code\":\"server_error\",\"message\":\"melted\"}}}\n\n");
  EXPECT_EQ(failed.error.code, "server_error");
  EXPECT_EQ(failed.finish, "");
}

TEST(Answers, GeminisStreamAndArray) {
  for (const char* name : {"gemini_stream", "gemini_array"}) {
    const std::string bytes = recorded(name);
    for (std::size_t piece = 1; piece < 40; ++piece) {
      const Read all = read(Wire::kGemini, bytes, piece);
      EXPECT_EQ(all.text, "Looking ");
      EXPECT_EQ(all.reasoning, "Hmm");
      EXPECT_EQ(all.calls, R"([ weather]{"city":"Oslo"})");
      EXPECT_EQ(all.finish, "tool_calls") << "a call ends with STOP there";
      EXPECT_EQ(all.carried, "c2ln");
      EXPECT_EQ(all.use.prompt_tokens, 54);
      EXPECT_EQ(all.use.cached_tokens, 16);
      EXPECT_EQ(all.use.completion_tokens, 19) << "thinking is paid for as output";
    }
  }
}

TEST(Answers, GeminisBrokenStreamAndRefusal) {
  const std::string stream = recorded("gemini_stream");
  const Read cut = read(Wire::kGemini, std::string_view(stream).substr(0, stream.rfind("data:")));
  EXPECT_EQ(cut.use.prompt_tokens, 50);
  EXPECT_EQ(cut.use.completion_tokens, -1);
  const Read blocked = read(Wire::kGemini, recorded("gemini_blocked"));
  EXPECT_EQ(blocked.finish, "content_filter");
  EXPECT_EQ(blocked.use.completion_tokens, 0);
  const Read error = read(Wire::kGemini, recorded("gemini_error"));
  EXPECT_EQ(error.error.type, "RESOURCE_EXHAUSTED");
  EXPECT_EQ(error.error.retry_ms, 22'000);
  EXPECT_TRUE(error.error.is_spent);
}

TEST(Answers, EveryPrefixOfEveryStreamIsSafe) {
  const std::pair<Wire, const char*> streams[] = {{Wire::kAnthropic, "anthropic_stream"},
                                                  {Wire::kResponses, "responses_stream"},
                                                  {Wire::kGemini, "gemini_stream"},
                                                  {Wire::kOpenAi, "openai_stream"}};
  for (const auto& [wire, name] : streams) {
    const std::string stream = recorded(name);
    const std::string text = read(wire, stream).text;
    for (std::size_t n = 0; n < stream.size(); ++n) {
      const Read part = read(wire, std::string_view(stream).substr(0, n));
      EXPECT_TRUE(text.starts_with(part.text)) << name << " " << n;
      EXPECT_FALSE(part.error.is_set());
    }
  }
}

TEST(Answers, GarbageIsNoAnswer) {
  for (const WireFormat& wire : wires()) {
    for (const char* odd : {"", "<html>", "data: 7\n\n", "[7]", "null", "{", "{}", "data: {\"type\":7}\n\n",
                            "data: {\"type\":\"content_block_delta\",\"index\":-1,\"delta\":7}\n\n",
                            "{\"candidates\":7,\"choices\":7,\"content\":7,\"output\":7}"}) {
      const Read all = read(wire.wire, odd);
      EXPECT_EQ(all.text, "") << wire.name << odd;
      EXPECT_FALSE(all.is_complete) << wire.name << odd;
    }
  }
}

TEST(Answers, CallsAreLimited) {
  AnswerReader reader(wire_format(Wire::kGemini), {.calls_max = 3});
  const std::string call = R"(data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]})" "\n\n";
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(reader.feed(call));
  EXPECT_FALSE(reader.feed(call));
  EXPECT_TRUE(reader.is_cut());
}

}  // namespace
}  // namespace hearth::advisor

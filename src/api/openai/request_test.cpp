// What real clients send is understood; what is wrong is refused by name, both sides of each limit.
#include "api/openai/request.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/chat_fields.h"

namespace hearth::api::openai {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string chat_with(std::string_view fields) {
  return fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"hi"}}]{}{}}})",
                     fields.empty() ? "" : ",", fields);
}

Request parsed(std::string_view body, Endpoint endpoint = Endpoint::kChat) {
  auto r = parse_request(endpoint, body);
  EXPECT_TRUE(r.has_value()) << body << ": " << (r ? "" : r.error().message);
  return r.value_or(Request{});
}

ApiError refused(std::string_view body, Endpoint endpoint = Endpoint::kChat) {
  const auto r = parse_request(endpoint, body);
  EXPECT_FALSE(r.has_value()) << body;
  return r ? ApiError{.status = 200} : r.error();
}

TEST(OpenAiRequest, TheLeastChat) {
  const Request r = parsed(chat_with(""));
  EXPECT_EQ(r.chat.model, "m");
  ASSERT_EQ(r.chat.messages.size(), 1U);
  EXPECT_EQ(r.chat.messages[0].role, hub::Role::kUser);
  EXPECT_EQ(r.chat.messages[0].content, "hi");
  EXPECT_FALSE(r.stream || r.chat.has_seed || r.logprobs || r.include_usage);
  EXPECT_FALSE(r.chat.advice.has_value());
  EXPECT_EQ(r.chat.max_tokens, 0U);
}

// The first request of pi, shortened.
TEST(OpenAiRequest, WhatCodingClientsSend) {
  const Request r = parsed(R"({"model":"auto","messages":[
      {"role":"developer","content":"You are an agent."},
      {"role":"user","content":[{"type":"text","text":"List"},{"type":"text","text":"files."}]},
      {"role":"assistant","content":null,"reasoning_content":"Use bash.","tool_calls":[
        {"id":"call_1","type":"function","function":{"name":"bash","arguments":"{\"c\":\"ls\"}"}},
        {"id":"call_2","type":"function","function":{"name":"read","arguments":{"path":"a"}}}]},
      {"role":"tool","tool_call_id":"call_1","content":"a.txt"}],
    "stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},"store":false,
    "max_completion_tokens":1024,"reasoning_effort":"medium","tool_choice":"auto",
    "parallel_tool_calls":true,"prompt_cache_key":"k","some_future_field":{"deep":[1,2,{}]},
    "tools":[{"type":"function","function":{"name":"bash","parameters":{"type":"object"}}}]})");
  EXPECT_TRUE(r.stream && r.include_usage);
  EXPECT_EQ(r.chat.max_tokens, 1024U);
  ASSERT_EQ(r.chat.messages.size(), 4U);
  EXPECT_EQ(r.chat.messages[0].role, hub::Role::kSystem);
  EXPECT_EQ(r.chat.messages[1].content, "List\nfiles.");
  EXPECT_EQ(r.chat.messages[2].content, "");
  EXPECT_EQ(r.chat.messages[2].reasoning, "Use bash.");
  ASSERT_EQ(r.chat.messages[2].tool_calls.size(), 2U);
  EXPECT_EQ(r.chat.messages[2].tool_calls[0].arguments, R"({"c":"ls"})");
  EXPECT_EQ(r.chat.messages[2].tool_calls[1].arguments, R"({"path":"a"})");
  EXPECT_EQ(r.chat.messages[3].role, hub::Role::kTool);
  EXPECT_EQ(r.chat.messages[3].tool_call_id, "call_1");
  ASSERT_EQ(r.chat.tools.size(), 1U);
  EXPECT_EQ(r.chat.tools[0].name, "bash");
  EXPECT_EQ(r.chat.tools[0].definition, R"({"name":"bash","parameters":{"type":"object"}})");
  EXPECT_EQ(r.chat.tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(r.chat.tool_choice, hub::ToolChoice::kAuto);
  EXPECT_EQ(r.chat.reasoning_effort, "medium");
  EXPECT_FALSE(r.chat.may_store);
  EXPECT_FALSE(r.chat.may_keep_prompt);
}

TEST(OpenAiRequest, WhetherAPromptMayBeKept) {
  const auto kept = [](const std::string& members) {
    const Request r = parsed(R"({"model":"m","messages":[{"role":"user","content":"a"}])" + members + "}");
    return std::pair(r.chat.may_store, r.chat.may_keep_prompt);
  };
  EXPECT_EQ(kept(""), std::pair(true, std::optional<bool>()));
  EXPECT_EQ(kept(R"(,"store":null)"), std::pair(true, std::optional<bool>()));
  EXPECT_EQ(kept(R"(,"store":true,"prompt_cache_retention":"in-memory")"),
            std::pair(true, std::optional(false)));
  EXPECT_EQ(kept(R"(,"store":false,"prompt_cache_retention":"24h")"),
            std::pair(false, std::optional(true)));
}

TEST(OpenAiRequest, ToolsAndThinking) {
  const Request r = parsed(chat_with(
      R"("tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}],
         "tool_choice":{"type":"function","function":{"name":"g"}},"parallel_tool_calls":false,
         "chat_template_kwargs":{"enable_thinking": false})"));
  EXPECT_EQ(r.chat.tools.size(), 2U);
  EXPECT_EQ(r.chat.tool_choice, hub::ToolChoice::kRequired);
  EXPECT_EQ(r.chat.tool_name, "g");
  EXPECT_FALSE(r.chat.parallel_tool_calls);
  EXPECT_EQ(r.chat.template_arguments, R"({"enable_thinking":false})");
}

TEST(OpenAiRequest, EverySamplingField) {
  const Request r = parsed(chat_with(
      R"("temperature":0.5,"top_p":0.9,"min_p":0.1,"typical_p":0.8,"top_k":40,"repeat_penalty":1.1,
         "frequency_penalty":-0.5,"presence_penalty":1,"seed":-7,"n":2,"stop":["a","b"],
         "logit_bias":{"5":-100,"7":1.5},"logprobs":true,"top_logprobs":20,"max_tokens":9,
         "ignore_eos":true)"));
  const auto& s = r.chat.sampling;
  EXPECT_FLOAT_EQ(s.temperature, 0.5F);
  EXPECT_TRUE(r.chat.has_temperature);
  EXPECT_FLOAT_EQ(s.top_p, 0.9F);
  EXPECT_FLOAT_EQ(s.min_p, 0.1F);
  EXPECT_FLOAT_EQ(s.typical_p, 0.8F);
  EXPECT_EQ(s.top_k, 40U);
  EXPECT_FLOAT_EQ(s.repetition_penalty, 1.1F);
  EXPECT_FLOAT_EQ(s.frequency_penalty, -0.5F);
  EXPECT_FLOAT_EQ(s.presence_penalty, 1.0F);
  EXPECT_EQ(s.seed, static_cast<std::uint64_t>(-7));
  EXPECT_TRUE(r.chat.has_seed);
  EXPECT_THAT(s.logit_bias, ElementsAre(Pair(5, -100.0F), Pair(7, 1.5F)));
  EXPECT_EQ(r.chat.n, 2U);
  EXPECT_THAT(r.chat.stop, ElementsAre("a", "b"));
  EXPECT_TRUE(r.logprobs);
  EXPECT_EQ(r.chat.n_top_logprobs, 20U);
  EXPECT_EQ(r.chat.max_tokens, 9U);
  EXPECT_TRUE(r.chat.ignore_eos);
}

TEST(OpenAiRequest, NullIsAbsent) {
  const Request r = parsed(chat_with(
      R"("temperature":null,"stop":null,"n":null,"stream":null,"max_tokens":null,"logit_bias":null,
         "stream_options":null,"hearth":null,"tools":null,"response_format":null)"));
  EXPECT_FLOAT_EQ(r.chat.sampling.temperature, 1.0F);
  EXPECT_FALSE(r.chat.has_temperature);
  EXPECT_TRUE(r.chat.stop.empty());
}

TEST(OpenAiRequest, NewNameForMaxTokensWins) {
  EXPECT_EQ(parsed(chat_with(R"("max_completion_tokens":7,"max_tokens":9)")).chat.max_tokens, 7U);
}

TEST(OpenAiRequest, Advice) {
  EXPECT_EQ(parsed(chat_with(R"("hearth":{"advice":"never"})")).chat.advice, hub::AdviceMode::kNever);
  EXPECT_EQ(parsed(chat_with(R"("hearth":{"advice":"always"})")).chat.advice, hub::AdviceMode::kAlways);
  EXPECT_EQ(parsed(chat_with(R"("hearth":{"other":1})")).chat.advice, std::nullopt);
  EXPECT_EQ(refused(chat_with(R"("hearth":{"advice":"maybe"})")).param, "hearth.advice");
}

TEST(OpenAiRequest, Completions) {
  const Request r = parsed(R"({"model":"m","prompt":"Once","logprobs":3,"max_tokens":5})",
                           Endpoint::kCompletion);
  EXPECT_EQ(r.chat.prompt, "Once");
  EXPECT_TRUE(r.chat.messages.empty());
  EXPECT_TRUE(r.logprobs);
  EXPECT_EQ(r.chat.n_top_logprobs, 3U);
  EXPECT_EQ(parsed(R"({"model":"m","prompt":["one"]})", Endpoint::kCompletion).chat.prompt, "one");
  for (const char* prompt : {R"(["a","b"])", "[1,2]", "[]"}) {
    const std::string body = fmt::format(R"({{"model":"m","prompt":{}}})", prompt);
    EXPECT_EQ(refused(body, Endpoint::kCompletion).param, "prompt") << prompt;
  }
}

struct Refusal {
  const char* fields;
  const char* param;
  const char* code;
};

TEST(OpenAiRequest, RefusesByName) {
  const Refusal refusals[] = {
      {R"("temperature":"hot")", "temperature", "invalid_type"},
      {R"("temperature":true)", "temperature", "invalid_type"},
      {R"("temperature":2.1)", "temperature", "decimal_above_max_value"},
      {R"("temperature":-0.1)", "temperature", "decimal_below_min_value"},
      {R"("top_p":1.01)", "top_p", "decimal_above_max_value"},
      {R"("min_p":-1)", "min_p", "decimal_below_min_value"},
      {R"("n":0)", "n", "integer_below_min_value"},
      {R"("n":17)", "n", "integer_above_max_value"},
      {R"("n":1.5)", "n", "invalid_type"},
      {R"("n":1.0)", "n", "invalid_type"},
      {R"("max_tokens":0)", "max_tokens", "integer_below_min_value"},
      {R"("max_tokens":18446744073709551615)", "max_tokens", "integer_above_max_value"},
      {R"("max_completion_tokens":-1)", "max_completion_tokens", "integer_below_min_value"},
      {R"("seed":"x")", "seed", "invalid_type"},
      {R"("lora":{})", "lora", "invalid_type"},
      {R"("lora":[{"id":0,"scale":1}])", "lora[0].id", "invalid_type"},
      {R"("lora":[{"scale":1}])", "lora[0].name", "missing_required_parameter"},
      {R"("lora":[{"name":"a","scale":17}])", "lora[0].scale", "decimal_above_max_value"},
      {R"("stream":"yes")", "stream", "invalid_type"},
      {R"("stop":5)", "stop", "invalid_type"},
      {R"("stop":["a",5])", "stop[1]", "invalid_type"},
      {R"("stop":"")", "stop", "invalid_value"},
      {R"("logit_bias":{"x":1})", "logit_bias", "invalid_value"},
      {R"("logit_bias":{"-3":1})", "logit_bias", "invalid_value"},
      {R"("logit_bias":{"3":101})", "logit_bias.3", "decimal_above_max_value"},
      {R"("logprobs":1)", "logprobs", "invalid_type"},
      {R"("top_logprobs":5)", "top_logprobs", "invalid_value"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs", "integer_above_max_value"},
      {R"("stream_options":1)", "stream_options", "invalid_type"},
      {R"("stream_options":{"include_usage":1})", "stream_options.include_usage", "invalid_type"},
      {R"("response_format":{"type":"xml"})", "response_format.type", "invalid_value"},
      {R"("response_format":{})", "response_format.type", "missing_required_parameter"},
      {R"("response_format":{"type":"json_schema"})", "response_format.json_schema", "missing_required_parameter"},
      {R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format.json_schema.schema",
       "missing_required_parameter"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":{"not":{}}}})", "response_format",
       "invalid_json_schema"},
      {R"("response_format":{"type":"json_object"},"grammar":"root ::= \"a\"")", "grammar", "invalid_value"},
      {R"("grammar":7)", "grammar", "invalid_type"},
      {R"("grammar":"root = x")", "grammar", "invalid_value"},
      {R"("guided_regex":"(")", "guided_regex", "invalid_value"},
      {R"("guided_choice":["a",1])", "guided_choice", "invalid_type"},
      {R"("guided_choice":[])", "guided_choice", "invalid_value"},
      {R"("structured_outputs":{"regex":"a","json":{}})", "structured_outputs.regex", "invalid_value"},
      {R"("structured_outputs":{"json":{"type":"x"}})", "structured_outputs.json", "invalid_json_schema"},
      {R"("tools":{})", "tools", "invalid_type"},
      {R"("tools":[1])", "tools[0]", "invalid_type"},
      {R"("hearth":7)", "hearth", "invalid_type"},
  };
  for (const Refusal& r : refusals) {
    const ApiError e = refused(chat_with(r.fields));
    EXPECT_EQ(e.status, 400U) << r.fields;
    EXPECT_EQ(e.param, r.param) << r.fields;
    EXPECT_EQ(e.code, r.code) << r.fields << ": " << e.message;
    EXPECT_EQ(e.type, "invalid_request_error");
  }
}

TEST(OpenAiRequest, RefusesWrongToolsByName) {
  const Refusal refusals[] = {
      {R"("tools":[{"function":{"name":"f"}}])", "tools[0].type", "missing_required_parameter"},
      {R"("tools":[{"type":"web_search"}])", "tools[0].type", "unsupported_value"},
      {R"("tools":[{"type":"function"}])", "tools[0].function", "missing_required_parameter"},
      {R"("tools":[{"type":"function","function":{}}])", "tools[0].function.name",
       "missing_required_parameter"},
      {R"("tools":[{"type":"function","function":{"name":"a b"}}])", "tools[0].function.name",
       "invalid_value"},
      {R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])",
       "tools[0].function.parameters", "invalid_type"},
      {R"("tool_choice":"maybe")", "tool_choice", "invalid_value"},
      {R"("tool_choice":1)", "tool_choice", "invalid_type"},
      {R"("tool_choice":"required")", "tool_choice", "invalid_value"},
      {R"("tool_choice":{"type":"function","function":{"name":"g"}},)"
       R"("tools":[{"type":"function","function":{"name":"f"}}])", "tool_choice", "invalid_value"},
      {R"("parallel_tool_calls":1)", "parallel_tool_calls", "invalid_type"},
      {R"("reasoning_effort":"much")", "reasoning_effort", "invalid_value"},
      {R"("chat_template_kwargs":[])", "chat_template_kwargs", "invalid_type"},
  };
  for (const Refusal& r : refusals) {
    const ApiError e = refused(chat_with(r.fields));
    EXPECT_EQ(e.param, r.param) << r.fields;
    EXPECT_EQ(e.code, r.code) << r.fields << ": " << e.message;
  }
}

TEST(OpenAiRequest, ReadsFormatsOfTheAnswerInAllDialects) {
  struct Row {
    std::string fields;
    std::string taken;  // By the grammar; empty: there is none.
  };
  const Row rows[] = {
      {R"("response_format":{"type":"text"})", ""},
      {R"("response_format":{"type":"json_object"})", R"({"a":1})"},
      {R"("response_format":{"type":"json_object","schema":{"const":5}})", "5"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"null"}},"required":["b","a"],"additionalProperties":false}}})",
       R"({"b":1,"a":null})"},
      {R"("grammar":"root ::= \"yes\" | \"no\"")", "no"},
      {R"("grammar":"")", ""},
      {R"("json_schema":{"enum":["x"]})", R"("x")"},
      {R"("guided_json":"{\"type\":\"boolean\"}")", "true"},
      {R"("guided_json":{"type":"boolean"})", "false"},
      {R"("guided_regex":"[a-c]{2}")", "cb"},
      {R"("regex":"[a-c]{2}")", "ab"},
      {R"("guided_choice":["a","b c"])", "b c"},
      {R"("guided_grammar":"root ::= [0-9]+")", "12"},
      {R"("ebnf":"root ::= [0-9]+")", "12"},
      {R"("structured_outputs":{"choice":["p","q"]})", "q"},
      {R"("structured_outputs":{"json_object":true})", "{}"},
      {R"("structured_outputs":{})", ""},
      {R"("guided_regex":null,"grammar":null)", ""},
  };
  for (const Row& row : rows) {
    const auto request = parse_request(Endpoint::kChat, chat_with(row.fields));
    ASSERT_TRUE(request) << row.fields << ": " << request.error().message;
    ASSERT_EQ(request->chat.grammar != nullptr, !row.taken.empty()) << row.fields;
    if (request->chat.grammar != nullptr) {
      EXPECT_TRUE(text::grammar::matches(*request->chat.grammar, row.taken)) << row.fields;
    }
  }
}

TEST(OpenAiRequest, RefusesMessagesByName) {
  const Refusal refusals[] = {
      {"[]", "messages", "empty_array"},
      {"{}", "messages", "invalid_type"},
      {R"("hi")", "messages", "invalid_type"},
      {R"(["hi"])", "messages[0]", "invalid_type"},
      {R"([{"content":"x"}])", "messages[0].role", "missing_required_parameter"},
      {R"([{"role":"robot","content":"x"}])", "messages[0].role", "invalid_value"},
      {R"([{"role":7,"content":"x"}])", "messages[0].role", "invalid_type"},
      {R"([{"role":"user"}])", "messages[0].content", "missing_required_parameter"},
      {R"([{"role":"user","content":null}])", "messages[0].content", "invalid_type"},
      {R"([{"role":"user","content":5}])", "messages[0].content", "invalid_type"},
      {R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])",
       "messages[0].content[0].type", "unsupported_value"},
      {R"([{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type",
       "missing_required_parameter"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text",
       "missing_required_parameter"},
      {R"([{"role":"tool","content":"x"}])", "messages[0].tool_call_id", "missing_required_parameter"},
      {R"([{"role":"assistant","tool_calls":[{"id":"a"}]}])", "messages[0].tool_calls[0].function",
       "missing_required_parameter"},
      {R"([{"role":"assistant","tool_calls":{}}])", "messages[0].tool_calls", "invalid_type"},
      {"null", "messages", "missing_required_parameter"},
  };
  for (const Refusal& r : refusals) {
    const ApiError e = refused(fmt::format(R"({{"model":"m","messages":{}}})", r.fields));
    EXPECT_EQ(e.param, r.param) << r.fields;
    EXPECT_EQ(e.code, r.code) << r.fields << ": " << e.message;
  }
}

TEST(OpenAiRequest, RefusesBodiesThatAreNoRequest) {
  for (const char* body : {"", " ", "{", "[]", "null", "{\"model\":}", "{} x", "\xFF", "{\"a\":\"\xC3(\"}",
                           "{\"model\":\"\\ud800\"}"}) {
    const ApiError e = refused(body);
    EXPECT_EQ(e.status, 400U);
    EXPECT_EQ(e.code, "invalid_json") << body;
  }
  EXPECT_EQ(refused("{}").param, "model");
  EXPECT_EQ(refused(R"({"model":""})").param, "model");
  EXPECT_EQ(refused(R"({"model":5})").param, "model");
  EXPECT_EQ(refused(R"({"model":"m"})").param, "messages");
  EXPECT_EQ(refused(R"({"model":"m"})", Endpoint::kCompletion).param, "prompt");
}

TEST(OpenAiRequest, BothSidesOfTheDepthLimit) {
  const auto nested = [](std::size_t levels) {  // Inside the object itself: one level more.
    return chat_with("\"x\":" + std::string(levels - 1, '[') + std::string(levels - 1, ']'));
  };
  parsed(nested(kJsonDepthMax));
  EXPECT_THAT(refused(nested(kJsonDepthMax + 1)).message, HasSubstr("64 levels"));
  EXPECT_THAT(refused(nested(100'000)).message, HasSubstr("64 levels"));
}

TEST(OpenAiRequest, BothSidesOfTheOtherLimits) {
  const auto stops = [](std::size_t n, std::size_t bytes) {
    std::string list;
    for (std::size_t i = 0; i < n; ++i) list += fmt::format("{}\"{}\"", i ? "," : "", std::string(bytes, 's'));
    return chat_with("\"stop\":[" + list + "]");
  };
  parsed(stops(kStopsMax, kStopBytesMax));
  EXPECT_EQ(refused(stops(kStopsMax + 1, 1)).code, "array_above_max_length");
  EXPECT_EQ(refused(stops(1, kStopBytesMax + 1)).param, "stop[0]");

  const auto named = [](std::size_t bytes) {
    return fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":""}}]}})",
                       std::string(bytes, 'm'));
  };
  parsed(named(kModelNameBytesMax));
  EXPECT_EQ(refused(named(kModelNameBytesMax + 1)).code, "string_above_max_length");

  const auto messages = [](std::size_t n) {
    std::string list;
    for (std::size_t i = 0; i < n; ++i) list += fmt::format(R"({}{{"role":"user","content":""}})", i ? "," : "");
    return fmt::format(R"({{"model":"m","messages":[{}]}})", list);
  };
  EXPECT_EQ(parsed(messages(kMessagesMax)).chat.messages.size(), kMessagesMax);
  EXPECT_EQ(refused(messages(kMessagesMax + 1)).code, "array_above_max_length");
}

TEST(OpenAiRequest, LargeBodiesAndSmallOnesOneAfterTheOther) {
  const std::string text(2 << 20, 'x');
  for (int i = 0; i < 2; ++i) {
    const Request r = parsed(fmt::format(
        R"({{"model":"m","messages":[{{"role":"user","content":"{}"}}]}})", text));
    EXPECT_EQ(r.chat.messages.at(0).content.size(), text.size());
    parsed(chat_with(""));
  }
}

}  // namespace
}  // namespace hearth::api::openai

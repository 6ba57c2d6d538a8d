// Answers of each family, whole and cut at every byte: the same events.  What is no call stays text.
#include "text/answer/answer_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/answer/answers_for_test.h"

namespace hearth::text {
namespace {

using Json = nlohmann::json;

const char* const kParameters =
    R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},
        "exact":{"type":"boolean"},"when":{"type":["string","null"]}}})";

AnswerFormat format_of(std::string_view family) {
  AnswerFormat format;
  for (const CallFormat* row : call_formats()) {
    if (row->family == family) format.calls = row;
  }
  EXPECT_NE(format.calls, nullptr) << family;
  return format;
}

AnswerFormat detected(const std::string& template_source) {
  return detect_answer_format(template_source, *empty_tokenizer());
}

AnswerParserOptions with_tools() { return {.tools = {{"get_weather", kParameters}, {"now", ""}}}; }

// Parses whole, in bytes and in pieces of several sizes; all must agree.
Collected parse(const AnswerFormat& format, const std::string& text,
                const AnswerParserOptions& options = with_tools(), bool is_cut = false) {
  const auto whole = parse_whole(format, options, text, is_cut);
  for (const std::size_t size : {1U, 2U, 3U, 7U}) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
    EXPECT_EQ(parse_pieces(format, options, pieces, is_cut), whole) << "pieces of " << size;
  }
  Collected all = collect(whole);
  EXPECT_EQ(all.n_ended, static_cast<int>(all.calls.size()));
  return all;
}

void expect_one_call(const Collected& got, const std::string& arguments) {
  ASSERT_EQ(got.calls.size(), 1U);
  EXPECT_EQ(got.calls[0].first, "get_weather");
  EXPECT_EQ(Json::parse(got.calls[0].second, nullptr, false), Json::parse(arguments))
      << got.calls[0].second;
}

struct Sample {
  const char* family;
  const char* text;
};

// As models write them, with and without what they often leave out.
const Sample kSamples[] = {
    {"Hermes", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>"},
    {"Hermes", "<tool_call>{\"arguments\": {\"city\": \"Oslo\"}, \"name\": \"get_weather\"}</tool_call>"},
    {"Hermes", "<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Oslo\\\"}\"}</tool_call>"},
    {"Hermes", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}"},
    {"Hermes", "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}\n</tool_call>"},
    {"Hermes", "<tool_call>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]</tool_call>"},
    {"Llama 3", "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}"},
    {"Llama 3", "<|python_tag|>{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}"},
    {"Llama 3", "\n{\"function\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}\n"},
    {"Mistral", "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}, \"id\": \"abcdefghi\"}]"},
    {"Mistral", "[TOOL_CALLS] [{\"arguments\": {\"city\": \"Oslo\"}, \"name\": \"get_weather\"}]"},
    {"Mistral", "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Oslo\"}"},
    {"Mistral", "[TOOL_CALLS]get_weather[CALL_ID]abc[ARGS]{\"city\": \"Oslo\"}"},
    {"gpt-oss", "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\":\"Oslo\"}<|call|>"},
    {"gpt-oss", " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\":\"Oslo\"}"},
    {"gpt-oss", "<|channel|>commentary to=get_weather<|message|> {\"city\":\"Oslo\"}<|call|>"},
    {"Phi 4 mini", "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]<|/tool_call|>"},
    {"Granite 3", "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]"},
    {"DeepSeek V3.1", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Oslo\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"DeepSeek R1", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": \"Oslo\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"DeepSeek V4", "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Oslo</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>"},
    {"Kimi K2", "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Oslo\"}<|tool_call_end|><|tool_calls_section_end|>"},
    {"Qwen3 Coder", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>"},
    {"Qwen3 Coder", "<function=get_weather><parameter=city>Oslo</parameter></function>"},
    {"Qwen3 Coder", "<tool_call>\n<function=get_weather>\n<parameter=city>\nOslo"},
    {"GLM 4", "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>"},
    {"GLM 4", "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Oslo</arg_value></tool_call>"},
    {"Functionary 3.1", "<function=get_weather>{\"city\": \"Oslo\"}</function>"},
    {"Command R7B", "<|START_ACTION|>[\n {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": {\"city\": \"Oslo\"}}\n]<|END_ACTION|>"},
    {"Command R+", "Action:\n```json\n[\n {\n  \"tool_name\": \"get_weather\",\n  \"parameters\": {\"city\": \"Oslo\"}\n }\n]```"},
    {"Apriel", "<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}, \"id\": \"1\"}]</tool_calls>"},
    {"Firefunction", " functools[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}]"},
    {"GigaChat 3", "<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}<|message_sep|>"},
    {"Gemma 4", "<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|>}<tool_call|>"},
    {"LFM 2", "<|tool_call_start|>[get_weather(city=\"Oslo\")]<|tool_call_end|>"},
};

TEST(AnswerParser, EveryFamilysCallIsRead) {
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(sample.text);
    const Collected got = parse(format_of(sample.family), sample.text);
    expect_one_call(got, R"({"city": "Oslo"})");
    EXPECT_EQ(got.text, "");
    EXPECT_EQ(got.reasoning, "");
  }
}

TEST(AnswerParser, WithoutToolsNothingIsACall) {
  for (const Sample& sample : kSamples) {
    if (std::string_view(sample.family) == "gpt-oss") continue;  // Its channels mean more than calls.
    EXPECT_EQ(parse(format_of(sample.family), sample.text, {}).text, sample.text);
  }
}

// Every prefix ends in a call that stands, or in the text as it was.
TEST(AnswerParser, EveryPrefixIsACallOrText) {
  for (const Sample& sample : kSamples) {
    const AnswerFormat format = format_of(sample.family);
    const std::string text = sample.text;
    for (std::size_t size = 0; size <= text.size(); ++size) {
      const std::string prefix = text.substr(0, size);
      const Collected got =
          collect(parse_in_bytes(format, with_tools(), prefix, /*is_cut=*/true));
      ASSERT_LE(got.calls.size(), 1U);
      if (got.calls.empty() && format.has_channels()) continue;
      EXPECT_EQ(got.text, got.calls.empty() ? prefix : "") << prefix;
    }
  }
}

TEST(AnswerParser, TextAroundCallsAndSeveralOfThem) {
  const Collected got = parse(format_of("Hermes"),
      "Let me see. \n\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}</tool_call>\n"
      "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\nDone.");
  EXPECT_EQ(got.text, "Let me see.Done.");
  ASSERT_EQ(got.calls.size(), 2U);
  EXPECT_EQ(got.calls[1].first, "now");
  EXPECT_EQ(got.calls[1].second, "{}");

  const Collected list = parse(format_of("Mistral"),
      "[TOOL_CALLS][{\"name\":\"now\",\"arguments\":{}}, {\"name\":\"now\",\"arguments\":{}}]");
  EXPECT_EQ(list.calls.size(), 2U);
  const Collected named = parse(format_of("Mistral"), "[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]now[ARGS]{}");
  EXPECT_EQ(named.calls.size(), 2U);
  const Collected bare = parse(format_of("Llama 3"),
      R"({"name": "now", "parameters": {}}; {"name": "now", "parameters": {}})");
  EXPECT_EQ(bare.calls.size(), 2U);
  EXPECT_EQ(bare.text, "");
  const Collected python = parse(format_of("LFM 2"), "<|tool_call_start|>[now(), get_weather(city='A', days=2)]<|tool_call_end|>ok");
  EXPECT_EQ(python.calls.size(), 2U);
  EXPECT_EQ(python.calls[1].second, R"({"city":"A","days":2})");
  EXPECT_EQ(python.text, "ok");
}

TEST(AnswerParser, WithoutParallelCallsOnlyTheFirstCounts) {
  AnswerParserOptions options = with_tools();
  options.parallel_calls = false;
  const Collected got = parse(format_of("Hermes"),
      "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>"
      "<tool_call>{\"name\":\"get_weather\",\"arguments\":{}}</tool_call>", options);
  ASSERT_EQ(got.calls.size(), 1U);
  EXPECT_EQ(got.calls[0].first, "now");
}

TEST(AnswerParser, WhatIsNoCallIsText) {
  const Sample texts[] = {
      {"Hermes", "<tool_call> is how models call."},
      {"Hermes", "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>"},  // Not offered.
      {"Hermes", "<tool_call>{'name': 'get_weather'}</tool_call>"},
      {"Hermes", "<tool_call>{\"title\": \"get_weather\"}</tool_call>"},
      {"Hermes", "a < b and <tool_cal"},
      {"Hermes", "trailing space \n"},
      {"Hermes", "  leading space"},
      {"Llama 3", "{\"city\": \"Oslo\"}"},
      {"Llama 3", "{\"name\": \"Oslo\", \"population\": 700000}"},
      {"Llama 3", "[1, 2]"},
      {"Llama 3", "Say {\"name\": \"now\", \"parameters\": {}}"},
      {"Mistral", "[TOOL_CALLS]rm[ARGS]{}"},
      {"DeepSeek V3.1", "<｜tool▁calls▁begin｜> nothing <｜tool▁call▁begin｜>x<｜tool▁sep｜>{}"},
      {"Qwen3 Coder", "<tool_call>\n<function=rm>\n</function>\n</tool_call>"},
      {"GLM 4", "<tool_call>rm\n</tool_call>"},
      {"Gemma 4", "<|tool_call>call:get_weather{city:Oslo<tool_call|>"},
      {"LFM 2", "<|tool_call_start|>[get_weather(city=)]<|tool_call_end|>"},
      {"Command R+", "Action:\n```json\n[{\"tool_name\": \"directly-answer\", \"parameters\": {}}]```"},
  };
  for (const Sample& sample : texts) {
    const Collected got = parse(format_of(sample.family), sample.text);
    EXPECT_TRUE(got.calls.empty()) << sample.text;
    EXPECT_EQ(got.text, sample.text);
  }
}

TEST(AnswerParser, BrokenArgumentsAreWhatTheModelWrote) {
  const Collected got = parse(format_of("Hermes"),
      "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\": Oslo}}</tool_call>!");
  ASSERT_EQ(got.calls.size(), 1U);
  EXPECT_EQ(got.calls[0].second, "{\"city\": Oslo}}");
  EXPECT_EQ(got.text, "!");
  const Collected cut = parse(format_of("Hermes"),
      "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\": \"Os", with_tools(), true);
  EXPECT_EQ(cut.calls[0].second, "{\"city\": \"Os");
  // A line end inside of a string is no JSON; as an escape it is.
  const Collected line = parse(format_of("Hermes"),
      "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\": \"a\nb\"}}</tool_call>");
  expect_one_call(line, R"({"city": "a\nb"})");
}

TEST(AnswerParser, TaggedValuesHaveTheTypesOfTheSchema) {
  const Collected got = parse(format_of("Qwen3 Coder"),
      "<tool_call>\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n"
      "<parameter=days>\n12\n</parameter>\n<parameter=exact>\nTrue\n</parameter>\n"
      "<parameter=when>\nnow \"\\\n\n</parameter>\n<parameter=other>\n{\"a\": [1]}\n</parameter>\n"
      "<parameter=more>\nplain <b> text\n</parameter>\n</function>\n</tool_call>");
  expect_one_call(got, R"({"city": "12", "days": 12, "exact": true, "when": "now \"\\\n",
                           "other": {"a": [1]}, "more": "plain <b> text"})");
  const Collected none = parse(format_of("Qwen3 Coder"),
                               "<tool_call>\n<function=now>\n</function>\n</tool_call>");
  ASSERT_EQ(none.calls.size(), 1U);
  EXPECT_EQ(none.calls[0].second, "{}");
  const Collected marked = parse(format_of("DeepSeek V4"),
      "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n"
      "<｜DSML｜parameter name=\"city\" string=\"true\">\n12\n</｜DSML｜parameter>\n"
      "<｜DSML｜parameter name=\"days\" string=\"false\">12</｜DSML｜parameter>\n"
      "</｜DSML｜invoke>\n</｜DSML｜tool_calls>");
  expect_one_call(marked, R"({"city": "\n12\n", "days": 12})");
}

TEST(AnswerParser, GemmasAndPythonsNotationBecomeJson) {
  const Collected gemma = parse(format_of("Gemma 4"),
      "<|tool_call>call:get_weather{city:<|\"|>a\n\"b\"{}<|\"|>,days:3,exact:true,"
      "more:{deep:[1.5,<|\"|>x<|\"|>,{}]}}<tool_call|>");
  expect_one_call(gemma, R"({"city": "a\n\"b\"{}", "days": 3, "exact": true,
                             "more": {"deep": [1.5, "x", {}]}})");
  const Collected python = parse(format_of("LFM 2"),
      "<|tool_call_start|>[get_weather(city='it\\'s \\u00e9\\n', days=-3, exact=True, when=None, "
      "more={\"a\": [1, \"x\"]})]<|tool_call_end|>");
  expect_one_call(python, R"({"city": "it's é\n", "days": -3, "exact": true, "when": null,
                              "more": {"a": [1, "x"]}})");
}

// ---- Thinking ----

TEST(AnswerParser, ThinkingIsNoText) {
  const AnswerFormat think = detected("{% if '</think>' in content %}");
  Collected got = parse(think, "\n<think>\nHm. <b>\n\n</think>\n\nYes.", {});
  EXPECT_EQ(got.reasoning, "Hm. <b>");
  EXPECT_EQ(got.text, "Yes.");
  got = parse(think, "Hm.\n</think>\nYes.", {.prompt_tail = "<|im_start|>assistant\n<think>\n"});
  EXPECT_EQ(got.reasoning, "Hm.");
  EXPECT_EQ(got.text, "Yes.");
  got = parse(think, "<think>", {.prompt_tail = "<think>\n\n</think>\n\n"});
  EXPECT_EQ(got.reasoning, "");
  // In the middle of a text the mark is text: the answer speaks about it.
  got = parse(think, "Write <think> and </think>.", {});
  EXPECT_EQ(got.text, "Write <think> and </think>.");
  got = parse(think, "<think>never ends", {}, true);
  EXPECT_EQ(got.reasoning, "never ends");
  EXPECT_EQ(got.text, "");
}

TEST(AnswerParser, ThinkingThenACall) {
  const AnswerFormat format = detected("'<tool_call>' '</think>'");
  const Collected got = parse(format,
      "<think>\nI need <tool_call>.\n</think>\n\n<tool_call>\n{\"name\": \"get_weather\", "
      "\"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>");
  EXPECT_EQ(got.reasoning, "I need <tool_call>.");
  expect_one_call(got, R"({"city": "Oslo"})");
  EXPECT_EQ(got.text, "");
}

TEST(AnswerParser, OtherMarksOfThinking) {
  struct Row {
    const char *source, *tail, *text;
  };
  const Row rows[] = {
      {"<|START_THINKING|> <|START_RESPONSE|> <|END_RESPONSE|>", "",
       "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>"},
      {"[THINK]", "", "[THINK]Hm.[/THINK]Yes."},
      {"<|channel>thought", "", "<|channel>thought\nHm.\n<channel|>Yes."},
      {"[BEGIN FINAL RESPONSE] [END FINAL RESPONSE]", "Here are my reasoning steps:\n",
       "Hm.\n[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]"},
      {"[BEGIN FINAL RESPONSE] [END FINAL RESPONSE]", "",
       "Here are my reasoning steps:\nHm.\n[BEGIN FINAL RESPONSE]Yes."},
      {"<think></think> <response></response>", "", "<think>Hm.</think>\n<response>Yes.</response>"},
      {"<|channel|> <|message|>", "<|start|>assistant",
       "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const Collected got = parse(detected(row.source), row.text, {.prompt_tail = row.tail});
    EXPECT_EQ(got.reasoning, "Hm.");
    EXPECT_EQ(got.text, "Yes.");
  }
}

TEST(AnswerParser, ChannelsOfGptOss) {
  const AnswerFormat format = format_of("gpt-oss");
  const Collected got = parse(format,
      "<|channel|>analysis<|message|>Need it.<|end|><|start|>assistant<|channel|>commentary<|message|>"
      "I'll look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
      "<|constrain|>json<|message|>{\"city\":\"Oslo\"}<|call|>");
  EXPECT_EQ(got.reasoning, "Need it.");
  EXPECT_EQ(got.text, "I'll look.");
  expect_one_call(got, R"({"city": "Oslo"})");
  EXPECT_EQ(parse(format, "Plain < text").text, "Plain < text");
  const std::string unknown = "<|channel|>commentary to=browser.search<|message|>{}";
  EXPECT_EQ(parse(format, unknown).text, unknown);
}

TEST(AnswerParser, FunctionarysRecipientStandsInThePrompt) {
  AnswerParserOptions options = with_tools();
  options.prompt_tail = "assistant<|end_header_id|>\n\n>>>";
  const AnswerFormat format = format_of("Functionary 3.2");
  expect_one_call(parse(format, "get_weather\n{\"city\": \"Oslo\"}", options), R"({"city": "Oslo"})");
  EXPECT_EQ(parse(format, "all\nHello.", options).text, "Hello.");
  const Collected both = parse(format, "all\nI look.\n>>>get_weather\n{\"city\": \"Oslo\"}", options);
  EXPECT_EQ(both.text, "I look.");
  expect_one_call(both, R"({"city": "Oslo"})");
}

// ---- Detection ----

TEST(AnswerFormat, IsFoundInTheTemplateOrAskedForInWords) {
  EXPECT_EQ(detected("<tool_call>").calls->family, "Hermes");
  EXPECT_EQ(detected("<tool_call> <function= <parameter=").calls->family, "Qwen3 Coder");
  EXPECT_TRUE(detected("<tool_call>").is_native);
  const AnswerFormat gemma = detected("<start_of_turn>{{ message.content }}<end_of_turn>");
  EXPECT_FALSE(gemma.is_native);
  EXPECT_EQ(gemma.calls->family, "Hermes");
  EXPECT_EQ(gemma.thinking, nullptr);
}

TEST(AnswerFormat, ControlTokensOfMarksAreSpoken) {
  VocabSpec spec;
  spec.model = "llama";
  spec.tokens = {"<unk>", "[TOOL_CALLS]", "[ARGS]", "[THINK]", "[INST]"};
  spec.types = {TokenType::kUnknown, TokenType::kControl, TokenType::kControl, TokenType::kControl,
                TokenType::kControl};
  spec.scores.resize(spec.tokens.size());
  spec.unk = 0;
  const auto tokenizer = *Tokenizer::create(std::move(spec));
  const AnswerFormat format = detect_answer_format("[THINK]", *tokenizer);
  EXPECT_EQ(format.calls->family, "Mistral");
  EXPECT_EQ(spoken_control_tokens(format, *tokenizer, true), (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(spoken_control_tokens(format, *tokenizer, false), (std::vector<TokenId>{3}));
}

TEST(AnswerFormat, WrittenCallsReadBack) {
  for (const CallFormat* row : call_formats()) {
    if (row->syntax == CallSyntax::kGemma || row->syntax == CallSyntax::kTagged ||
        row->syntax == CallSyntax::kChannels) {
      continue;  // Written as Hermes does.
    }
    const std::string text = write_call(*row, "get_weather", R"({"city": "O\"slo", "days": 2})");
    const Collected got = parse(format_of(row->family), text);
    SCOPED_TRACE(text);
    expect_one_call(got, R"({"city": "O\"slo", "days": 2})");
    EXPECT_EQ(got.text, "");
  }
}

}  // namespace
}  // namespace hearth::text

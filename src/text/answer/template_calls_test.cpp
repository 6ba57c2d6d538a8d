// The round trip that matters: what a model's own template writes for a tool call, the parser
// must read back as that call.  For all real templates that lay out calls.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "text/answer/answer_parser.h"
#include "text/answer/answers_for_test.h"
#include "text/chat_template.h"

namespace hearth::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kNow = 1795167000;  // The clock of the file.

const Json& templates() {
  static const Json all = [] {
    const auto text = read_file(std::filesystem::path(HEARTH_SHARED_DIR) / "templates" /
                                "chat_templates.json");
    return text ? Json::parse(*text)["templates"] : Json();
  }();
  return all;
}

const char* const kParameters = R"({"type": "object", "required": [], "properties": {
  "city": {"type": "string", "description": "c"}, "note": {"type": "string", "description": "n"},
  "days": {"type": "integer", "description": "d"}, "exact": {"type": "boolean", "description": "e"},
  "bounds": {"type": "object", "description": "b", "additionalProperties": {"type": "number"}},
  "more": {"type": "object", "description": "m", "additionalProperties": {"type": "string"}}}})";

const char* const kArguments[] = {
    R"({"city": "Catania"})",
    R"({"city": "Reykjavík \"north\"", "days": 3, "exact": true})",
    R"({"bounds": [1.5, -2], "city": "x", "more": {"deep": {"er": ["a", "b"]}}})",
    R"({"note": "two\nlines, <b>bold</b> & \\ it's 7 } ]"})"};


Json arguments(std::size_t i) {
  return Json::parse(kArguments[i]);
}

Json tools() {
  return Json::array({{{"type", "function"},
                       {"function",
                        {{"name", "get_weather"},
                         {"description", "The weather in a city."},
                         {"parameters", Json::parse(kParameters)}}}}});
}

Json context(const Json& answer) {
  Json messages = Json::array({{{"role", "user"}, {"content", "Weather?"}}});
  messages.push_back(answer);
  return {{"messages", messages},          {"tools", tools()},
          {"add_generation_prompt", false}, {"bos_token", "<s>"},
          {"eos_token", "</s>"},            {"functions", tools().dump()},
          {"datetime", "today"}};
}

Json call_message(const Json& args, std::size_t n_calls, bool as_text, const Json& content) {
  Json calls = Json::array();
  for (std::size_t i = 0; i < n_calls; ++i) {
    calls.push_back({{"id", "call00001"},
                     {"type", "function"},
                     {"function",
                      {{"name", "get_weather"}, {"arguments", as_text ? Json(args.dump()) : args}}}});
  }
  return {{"role", "assistant"}, {"content", content}, {"tool_calls", calls}};
}

// What the model would have had to write, and what the prompt ended with before.
struct Written {
  std::string answer, prompt_tail;
};

// The assistant's turn begins where this render and one with a plain text part, and ends where they
// are one again, at the bracket of a mark.
Written cut_out(const std::string& with_call, const std::string& with_text) {
  const auto begin = std::ranges::mismatch(with_call, with_text).in1;
  auto start = static_cast<std::size_t>(begin - with_call.begin());
  const std::size_t bracket = with_call.find_last_of("<>", start == 0 ? 0 : start - 1);
  if (bracket != std::string::npos && with_call[bracket] == '<') start = bracket;

  const std::string call_backwards(with_call.rbegin(), with_call.rend());
  const std::string text_backwards(with_text.rbegin(), with_text.rend());
  const auto n_common = static_cast<std::size_t>(
      std::ranges::mismatch(call_backwards, text_backwards).in1 - call_backwards.begin());
  const std::size_t end = with_call.find('<', with_call.size() - n_common);
  Written written{with_call.substr(start, end - start), with_call.substr(0, start)};
  for (const std::string_view other_end : {"<|eom_id|>", "</s>", "<|eot_id|>"}) {
    if (written.answer.ends_with(other_end)) {
      written.answer.resize(written.answer.size() - other_end.size());
    }
  }
  return written;
}

// By the first of four ways to say it that the template takes, the shortest render of it: DeepSeek R1's
// adds an empty turn where the content is "" and not null.
std::optional<Written> write_with(const ChatTemplate& chat_template, const Json& args,
                                  std::size_t n_calls) {
  const Json text_message = {{"role", "assistant"}, {"content", "XYZZY"}};
  const auto with_text = chat_template.render(context(text_message), kNow);
  for (const bool as_text : {false, true}) {
    std::optional<std::string> shortest;
    for (const Json& content : {Json(""), Json()}) {
      const auto with_call =
          chat_template.render(context(call_message(args, n_calls, as_text, content)), kNow);
      if (!with_call || with_call->find("Weather?") == std::string::npos) continue;
      const std::string turn = with_call->substr(with_call->rfind("Weather?"));
      if (turn.find("get_weather") == std::string::npos) continue;
      if (!shortest || with_call->size() < shortest->size()) shortest = *with_call;
    }
    if (shortest && with_text) return cut_out(*shortest, *with_text);
  }
  return {};
}

void expect_calls(const std::string& name, const std::vector<AnswerEvent>& events, const Json& args,
                  std::size_t n_calls, const std::string& answer) {
  const Collected got = collect(events);
  EXPECT_EQ(got.text, "") << name << ": " << answer;
  ASSERT_EQ(got.calls.size(), n_calls) << name << ": " << answer;
  for (const auto& [function, text] : got.calls) {
    EXPECT_EQ(function, "get_weather") << name;
    const Json parsed = Json::parse(text, nullptr, false);
    EXPECT_TRUE(!parsed.is_discarded() && nlohmann::json(parsed) == nlohmann::json(args))
        << name << ": " << text << " from " << answer;
  }
}

TEST(TemplateCalls, EveryTemplatesCallsReadBackAsTheyWere) {
  if (templates().is_null()) GTEST_SKIP() << "the real templates are not here";
  std::set<std::string> families;
  int n_round_trips = 0;
  for (const auto& [name, source] : templates().items()) {
    const auto compiled = ChatTemplate::compile(source.get<std::string>());
    ASSERT_TRUE(compiled) << name;
    const AnswerFormat format = detect_answer_format((*compiled)->source(), *empty_tokenizer());
    for (std::size_t i = 0; i < std::size(kArguments); ++i) {
      for (const std::size_t n_calls : {1U, 2U}) {
        const auto written = write_with(**compiled, arguments(i), n_calls);
        if (!written) continue;
        const AnswerParserOptions options{.tools = {{"get_weather", kParameters}},
                                          .prompt_tail = written->prompt_tail};
        const auto events = parse_whole(format, options, written->answer);
        const std::size_t n_written = name.starts_with("GigaChat") || name.starts_with("openai") ? 1 : n_calls;
        expect_calls(name, events, arguments(i), n_written, written->answer);
        EXPECT_EQ(parse_in_bytes(format, options, written->answer), events) << name;
        families.insert(std::string(format.calls->family));
        ++n_round_trips;
      }
    }
  }
  // Families among the shared templates that lay out calls.
  EXPECT_EQ(families.size(), 18U) << ::testing::PrintToString(families);
  EXPECT_GE(n_round_trips, 190);
}

}  // namespace
}  // namespace hearth::text

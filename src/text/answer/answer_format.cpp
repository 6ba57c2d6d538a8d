#include "text/answer/answer_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace hearth::text {
namespace {

using enum CallSyntax;

// In the order of detection: a row stands before those whose marks its templates hold as well.
constexpr auto kCallFormats = std::to_array<CallFormat>({
    {.family = "gpt-oss",
     .syntax = kChannels,
     .marks = {"<|channel|>", "<|message|>"}},
    {.family = "Gemma 4",
     .syntax = kGemma,
     .open = "<|tool_call>call:",
     .close = "<tool_call|>",
     .marks = {"<|tool_call>call:"}},
    {.family = "DeepSeek V4",
     .syntax = kTagged,
     .section_open = "<｜DSML｜tool_calls>",
     .section_close = "</｜DSML｜tool_calls>",
     .open = "<｜DSML｜invoke name=\"",
     .close = "</｜DSML｜invoke>",
     .name_end = "\">",
     .key_open = "<｜DSML｜parameter name=\"",
     .key_end = "\">",
     .value_close = "</｜DSML｜parameter>",
     .marks = {"｜DSML｜"}},
    {.family = "DeepSeek R1",
     .syntax = kNamed,
     .section_open = "<｜tool▁calls▁begin｜>",
     .section_close = "<｜tool▁calls▁end｜>",
     .open = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
     .close = "```<｜tool▁call▁end｜>",
     .name_end = "\n```json\n",
     .marks = {"<｜tool▁sep｜>", "```json"}},
    {.family = "DeepSeek V3.1",
     .syntax = kNamed,
     .section_open = "<｜tool▁calls▁begin｜>",
     .section_close = "<｜tool▁calls▁end｜>",
     .open = "<｜tool▁call▁begin｜>",
     .close = "<｜tool▁call▁end｜>",
     .name_end = "<｜tool▁sep｜>",
     .marks = {"<｜tool▁sep｜>"}},
    {.family = "Kimi K2",
     .syntax = kNamed,
     .section_open = "<|tool_calls_section_begin|>",
     .section_close = "<|tool_calls_section_end|>",
     .open = "<|tool_call_begin|>",
     .close = "<|tool_call_end|>",
     .name_end = "<|tool_call_argument_begin|>",
     .marks = {"<|tool_call_begin|>"}},
    {.family = "GLM 4",
     .syntax = kTagged,
     .open = "<tool_call>",
     .close = "</tool_call>",
     .key_open = "<arg_key>",
     .key_end = "</arg_key>",
     .value_open = "<arg_value>",
     .value_close = "</arg_value>",
     .marks = {"<arg_key>"}},
    {.family = "Qwen3 Coder",
     .syntax = kTagged,
     .section_open = "<tool_call>",
     .section_close = "</tool_call>",
     .open = "<function=",
     .close = "</function>",
     .name_end = ">",
     .key_open = "<parameter=",
     .key_end = ">",
     .value_close = "</parameter>",
     .marks = {"<function=", "<parameter="}},
    {.family = "Functionary 3.1",
     .syntax = kNamed,
     .open = "<function=",
     .close = "</function>",
     .name_end = ">",
     .marks = {"<function="}},
    {.family = "Functionary 3.2",
     .syntax = kNamed,
     .open = ">>>",
     .name_end = "\n",
     .text_name = "all",
     .marks = {">>>all", "recipient"}},
    {.family = "Command R7B",
     .syntax = kJson,
     .open = "<|START_ACTION|>",
     .close = "<|END_ACTION|>",
     .name_key = "tool_name",
     .arguments_key = "parameters",
     .is_list = true,
     .marks = {"<|START_ACTION|>"}},
    {.family = "Command R+",
     .syntax = kJson,
     .open = "Action:\n```json\n",
     .close = "```",
     .name_key = "tool_name",
     .arguments_key = "parameters",
     .is_list = true,
     .marks = {"Action:\\n```json", "tool_name"}},
    {.family = "Phi 4 mini",
     .syntax = kJson,
     .open = "<|tool_call|>",
     .close = "<|/tool_call|>",
     .is_list = true,
     .marks = {"<|tool_call|>", "<|/tool_call|>"},
     .token = "<|/tool_call|>"},
    {.family = "Granite 3",
     .syntax = kJson,
     .open = "<|tool_call|>",
     .is_list = true,
     .marks = {"<|tool_call|>"}},
    {.family = "Apriel",
     .syntax = kJson,
     .open = "<tool_calls>",
     .close = "</tool_calls>",
     .is_list = true,
     .marks = {"<tool_calls>"}},
    {.family = "Mistral",
     .syntax = kNamed,
     .open = "[TOOL_CALLS]",
     .name_end = "[ARGS]",
     .or_json = true,
     .marks = {"[TOOL_CALLS]"},
     .token = "[TOOL_CALLS]"},
    {.family = "Firefunction",
     .syntax = kJson,
     .open = "functools",
     .is_list = true,
     .marks = {"functools["}},
    {.family = "GigaChat 3",
     .syntax = kJson,
     .section_open = "<|message_sep|>",
     .open = "function call<|role_sep|>\n",
     .close = "<|message_sep|>",
     .marks = {"<|role_sep|>", "function call"}},
    {.family = "LFM 2",
     .syntax = kPython,
     .open = "<|tool_call_start|>",
     .close = "<|tool_call_end|>",
     .marks = {"<|tool_call_start|>"},
     .token = "<|tool_call_start|>"},
    {.family = "LFM 2.5",  // Its template names the tools and leaves the calls to the model.
     .syntax = kPython,
     .open = "<|tool_call_start|>",
     .close = "<|tool_call_end|>",
     .marks = {"List of tools: ["}},
    {.family = "Hermes",  // Qwen 2.5 and 3, SmolLM 3, Granite 4, MiMo, Reka and many more.
     .syntax = kJson,
     .open = "<tool_call>",
     .close = "</tool_call>",
     .marks = {"<tool_call>"},
     .token = "<tool_call>"},
    {.family = "Llama 3",
     .syntax = kJson,
     .open = "<|python_tag|>",
     .arguments_key = "parameters",
     .may_be_bare = true,
     .marks = {"\"parameters\": dictionary"}},
    {.family = "Llama 3 code",
     .syntax = kJson,
     .open = "<|python_tag|>",
     .arguments_key = "parameters",
     .may_be_bare = true,
     .marks = {"<|python_tag|>"}},
});

constexpr auto kThinkingFormats = std::to_array<ThinkingFormat>({
    {.open = "<|START_THINKING|>",
     .close = "<|END_THINKING|>",
     .is_anywhere = true,
     .mark = "<|START_THINKING|>"},
    {.open = "<|channel>thought", .close = "<channel|>", .is_anywhere = true, .mark = "<|channel>thought"},
    {.open = "[THINK]", .close = "[/THINK]", .is_anywhere = true, .mark = "[THINK]"},
    {.open = "<seed:think>", .close = "</seed:think>", .mark = "<seed:think>"},
    {.open = "Here are my reasoning steps:",
     .close = "[BEGIN FINAL RESPONSE]",
     .mark = "[BEGIN FINAL RESPONSE]"},
    {.open = "<reasoning>", .close = "</reasoning>", .mark = "</reasoning>"},
    {.open = "<think>", .close = "</think>", .mark = "</think>"},
    {.open = "<think>", .close = "</think>", .mark = "<think>"},
});

// Marks of the plain answer, by what in a template tells that a family uses them.
struct DroppedMark {
  std::string_view text;
  std::string_view mark;
};
constexpr auto kDroppedMarks = std::to_array<DroppedMark>({
    {"<|START_RESPONSE|>", "<|START_RESPONSE|>"},
    {"<|END_RESPONSE|>", "<|END_RESPONSE|>"},
    {"<response>", "<response></response>"},
    {"</response>", "<response></response>"},
    {"[END FINAL RESPONSE]", "[END FINAL RESPONSE]"},
    {"<|message_sep|>", "<|message_sep|>"},
});

constexpr std::string_view kHermes = "Hermes";

const CallFormat& hermes() {
  return *std::ranges::find(kCallFormats, kHermes, &CallFormat::family);
}

bool holds(std::string_view source, std::string_view text) {
  return source.find(text) != std::string_view::npos;
}

bool is_marked(const CallFormat& format, std::string_view source, const Tokenizer& tokenizer) {
  if (!format.token.empty() && tokenizer.find(format.token)) return true;
  return std::ranges::all_of(format.marks, [&](std::string_view mark) { return holds(source, mark); });
}

const ThinkingFormat* find_thinking(std::string_view source, const Tokenizer& tokenizer) {
  for (const ThinkingFormat& format : kThinkingFormats) {
    const bool has_tokens = tokenizer.find(format.open) && tokenizer.find(format.close);
    if (has_tokens || holds(source, format.mark)) return &format;
  }
  return nullptr;
}

constexpr auto kChannelTokens = std::to_array<std::string_view>({"<|start|>", "<|channel|>",
    "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"});

void append_call_marks(const CallFormat& calls, std::vector<std::string_view>& marks) {
  marks.insert(marks.end(), {calls.section_open, calls.section_close, calls.open, calls.close,
                             calls.name_end, calls.key_open, calls.key_end, calls.value_open,
                             calls.value_close});
  if (calls.syntax == kGemma) marks.push_back("<|\"|>");
  if (calls.or_json) marks.push_back("[CALL_ID]");
}

std::vector<std::string_view> marks_of(const AnswerFormat& format, bool with_calls) {
  std::vector<std::string_view> marks = format.dropped;
  if (with_calls) append_call_marks(*format.calls, marks);
  if (format.has_channels()) marks.insert(marks.end(), kChannelTokens.begin(), kChannelTokens.end());
  if (format.thinking != nullptr) {
    marks.push_back(format.thinking->open);
    marks.push_back(format.thinking->close);
  }
  return marks;
}

using Json = nlohmann::ordered_json;

void append_python(std::string& out, const Json& value) {
  if (value.is_null()) {
    out += "None";
  } else if (value.is_boolean()) {
    out += value.get<bool>() ? "True" : "False";
  } else if (value.is_array() || value.is_object()) {
    out.push_back(value.is_array() ? '[' : '{');
    for (auto item = value.begin(); item != value.end(); ++item) {
      if (item != value.begin()) out += ", ";
      if (value.is_object()) out += Json(item.key()).dump() + ": ";
      append_python(out, *item);
    }
    out.push_back(value.is_array() ? ']' : '}');
  } else {
    out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

std::string python_call(std::string_view name, std::string_view arguments) {
  const Json values = Json::parse(arguments, nullptr, false);
  std::string out = "[" + std::string(name) + "(";
  if (values.is_object()) {
    for (auto item = values.begin(); item != values.end(); ++item) {
      if (item != values.begin()) out += ", ";
      out += item.key() + "=";
      append_python(out, *item);
    }
  }
  return out + ")]";
}

}  // namespace

std::vector<const CallFormat*> call_formats() {
  std::vector<const CallFormat*> rows;
  for (const CallFormat& row : kCallFormats) rows.push_back(&row);
  return rows;
}

AnswerFormat detect_answer_format(std::string_view template_source, const Tokenizer& tokenizer) {
  AnswerFormat format;
  const auto* row = std::ranges::find_if(kCallFormats, [&](const CallFormat& candidate) {
    return is_marked(candidate, template_source, tokenizer);
  });
  format.is_native = row != kCallFormats.end();
  format.calls = format.is_native ? row : &hermes();
  if (!format.has_channels()) format.thinking = find_thinking(template_source, tokenizer);
  for (const DroppedMark& dropped : kDroppedMarks) {
    if (holds(template_source, dropped.mark)) format.dropped.push_back(dropped.text);
  }
  return format;
}

std::vector<TokenId> spoken_control_tokens(const AnswerFormat& format, const Tokenizer& tokenizer,
                                           bool with_calls) {
  const std::vector<std::string_view> marks = marks_of(format, with_calls);
  std::vector<TokenId> spoken;
  for (std::uint32_t i = 0; i < tokenizer.n_vocab(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!tokenizer.is_control(id)) continue;
    const std::string_view token = tokenizer.token_text(id);
    if (token.empty()) continue;
    if (std::ranges::any_of(marks, [&](auto mark) { return holds(mark, token); })) {
      spoken.push_back(id);
    }
  }
  return spoken;
}

std::string write_call(const CallFormat& format, std::string_view name, std::string_view arguments) {
  const std::string_view object = arguments.empty() ? std::string_view("{}") : arguments;
  std::string call(format.section_open);
  call += format.open;
  switch (format.syntax) {
    case kNamed:
      call.append(name).append(format.name_end).append(object);
      if (format.close.starts_with("```")) call.push_back('\n');
      break;
    case kPython:
      call += python_call(name, object);
      break;
    default: {  // The others' templates write calls themselves; in words, all models know JSON.
      const bool is_json = format.syntax == kJson;
      const CallFormat& json = is_json ? format : hermes();
      call.assign(json.open);
      if (json.is_list) call += "[";
      if (!json.is_list && !json.open.empty()) call += "\n";
      call.append("{\"").append(json.name_key).append("\": ");
      call += Json(name).dump(-1, ' ', false, Json::error_handler_t::replace);
      call.append(", \"").append(json.arguments_key).append("\": ").append(object).append("}");
      if (json.is_list) call += "]";
      if (!json.is_list && !json.close.empty()) call += "\n";
      return call.append(json.close);
    }
  }
  return call.append(format.close).append(format.section_close);
}

}  // namespace hearth::text

#include "api/responses/responses_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "api/answer_format.h"
#include "api/chat_fields.h"
#include "api/openai/request.h"
#include "api/openai/tools.h"
#include "api/responses/responses_writer.h"

namespace hearth::api::responses {
namespace {

// The one parameter of a tool that takes free text.
constexpr const char* kCustomSchema =
    R"({"type":"object","properties":{"input":{"type":"string"}},"required":["input"]})";

struct Request {
  hub::ChatRequest chat;
  Asked asked;
  bool stream = false;
  std::string pending_reasoning;  // Of the assistant's message that comes next.
};

Parsed<std::string> text_member(std::string_view path, dom::object object, const char* name) {
  std::string text;
  HEARTH_TRY_VOID(set_optional_text(text, path, object, name));
  if (text.empty()) return missing(at(path, name));
  return text;
}

// ---- Input items ----

// A string, or parts of text.
Parsed<std::string> text_of(std::string_view path, dom::element value) {
  static constexpr auto kTextTypes = std::to_array<std::string_view>(
      {"input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal"});
  if (!value.is_array()) {
    HEARTH_TRY(const std::string_view text, as_string(path, value));
    return std::string(text);
  }
  std::string joined;
  std::size_t i = 0;
  HEARTH_TRY(const dom::array parts, as_array(path, value));
  for (const dom::element element : parts) {
    const std::string part_path = fmt::format("{}[{}]", path, i++);
    HEARTH_TRY(const dom::object part, as_object(part_path, element));
    HEARTH_TRY(const std::string type, text_member(part_path, part, "type"));
    if (std::ranges::find(kTextTypes, type) == kTextTypes.end()) {
      return refuse("unsupported_value", at(part_path, "type"),
                    fmt::format("Unsupported content part '{}' at '{}': the models of this hub read text only; "
                                "send parts of type 'input_text'.", type.substr(0, 40), part_path));
    }
    std::string text;
    HEARTH_TRY_VOID(set_optional_text(text, part_path, part, type == "refusal" ? "refusal" : "text"));
    if (!joined.empty() && !text.empty()) joined.push_back('\n');
    joined += text;
  }
  return joined;
}

// Calls and thinking belong to one turn of the assistant.
hub::Message& assistant_turn(Request& r) {
  auto& messages = r.chat.messages;
  const bool is_open = !messages.empty() && messages.back().role == hub::Role::kAssistant &&
                       r.pending_reasoning.empty();
  if (!is_open) {
    messages.push_back({.role = hub::Role::kAssistant,
                        .reasoning = std::exchange(r.pending_reasoning, {})});
  }
  return messages.back();
}

Parsed<> add_message(Request& r, std::string_view path, dom::object item) {
  struct Row {
    std::string_view name;
    hub::Role role;
  };
  static constexpr auto kRoles = std::to_array<Row>({{"user", hub::Role::kUser},
                                                     {"assistant", hub::Role::kAssistant},
                                                     {"system", hub::Role::kSystem},
                                                     {"developer", hub::Role::kSystem}});
  HEARTH_TRY(const std::string name, text_member(path, item, "role"));
  const auto* const row = std::ranges::find(kRoles, name, &Row::name);
  if (row == kRoles.end()) {
    return refuse("invalid_value", at(path, "role"),
                  fmt::format("Invalid value: '{}'. Supported values are: 'user', 'assistant', 'system', and "
                              "'developer'.", name.substr(0, 40)));
  }
  const auto content = member(item, "content");
  if (!content) return missing(at(path, "content"));
  HEARTH_TRY(std::string text, text_of(at(path, "content"), *content));
  const bool is_answer = row->role == hub::Role::kAssistant;
  hub::Message message{.role = row->role, .content = std::move(text)};
  if (is_answer) message.reasoning = std::exchange(r.pending_reasoning, {});
  r.chat.messages.push_back(std::move(message));
  return {};
}

Parsed<> add_call(Request& r, std::string_view path, dom::object item, std::string arguments) {
  hub::ToolCall call{.arguments = std::move(arguments)};
  HEARTH_TRY(call.id, text_member(path, item, "call_id"));
  HEARTH_TRY(call.name, text_member(path, item, "name"));
  assistant_turn(r).tool_calls.push_back(std::move(call));
  return {};
}

Parsed<> add_function_call(Request& r, std::string_view path, dom::object item) {
  std::string arguments;
  HEARTH_TRY_VOID(set_optional_text(arguments, path, item, "arguments"));
  return add_call(r, path, item, std::move(arguments));
}

Parsed<> add_custom_call(Request& r, std::string_view path, dom::object item) {
  std::string input;
  HEARTH_TRY_VOID(set_optional_text(input, path, item, "input"));
  return add_call(r, path, item, custom_arguments(input));
}

Parsed<> add_call_output(Request& r, std::string_view path, dom::object item) {
  hub::Message message{.role = hub::Role::kTool};
  HEARTH_TRY(message.tool_call_id, text_member(path, item, "call_id"));
  const auto output = member(item, "output");
  if (!output) return missing(at(path, "output"));
  HEARTH_TRY(message.content, text_of(at(path, "output"), *output));
  r.chat.messages.push_back(std::move(message));
  return {};
}

// What was thought, or, where only that was kept, its summary.
Parsed<> add_reasoning(Request& r, std::string_view path, dom::object item) {
  for (const char* const name : {"content", "summary"}) {
    const auto parts = member(item, name);
    if (!parts) continue;
    HEARTH_TRY(r.pending_reasoning, text_of(at(path, name), *parts));
    if (!r.pending_reasoning.empty()) break;
  }
  return {};
}

struct ItemRow {
  std::string_view type;
  Parsed<> (*add)(Request& r, std::string_view path, dom::object item);
};

constexpr auto kItems = std::to_array<ItemRow>({{"message", add_message},
                                                {"function_call", add_function_call},
                                                {"function_call_output", add_call_output},
                                                {"custom_tool_call", add_custom_call},
                                                {"custom_tool_call_output", add_call_output},
                                                {"reasoning", add_reasoning}});

Parsed<> add_item(Request& r, std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object item, as_object(path, value));
  std::string type = "message";
  HEARTH_TRY_VOID(set_optional_text(type, path, item, "type"));
  const auto* const row = std::ranges::find(kItems, type, &ItemRow::type);
  if (row != kItems.end()) return row->add(r, path, item);
  return refuse("unsupported_value", at(path, "type"),
                fmt::format("Unsupported input item '{}' at '{}': this hub keeps no earlier responses and runs no "
                            "tools itself; send messages, calls and their outputs.", type.substr(0, 40), path));
}

Parsed<> set_input(Request& r, std::string_view param, dom::element value) {
  if (value.is_string()) {
    HEARTH_TRY(const std::string_view text, as_string(param, value));
    r.chat.messages.push_back({.role = hub::Role::kUser, .content = std::string(text)});
    return {};
  }
  if (!value.is_array()) return wrong_type(param, "a string or an array of items", value);
  HEARTH_TRY(const dom::array items, as_array(param, value));
  if (items.size() > kMessagesMax) return too_many(param, kMessagesMax, items.size());
  if (items.size() == 0) return refuse("empty_array", std::string(param), "Invalid 'input': the array is empty.");
  std::size_t i = 0;
  for (const dom::element item : items) {
    HEARTH_TRY_VOID(add_item(r, fmt::format("{}[{}]", param, i++), item));
  }
  return {};
}

// Comes before the input in the table's order, and in the conversation.
Parsed<> set_instructions(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  if (!text.empty()) r.chat.messages.push_back({.role = hub::Role::kSystem, .content = std::string(text)});
  r.asked.instructions = text;
  return {};
}

// ---- Tools ----

Parsed<> add_tool(Request& r, std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object tool, as_object(path, value));
  HEARTH_TRY(const std::string type, text_member(path, tool, "type"));
  const bool is_custom = type == "custom";
  if (type != "function" && !is_custom) return {};
  const auto name = member(tool, "name");
  if (!name) return missing(at(path, "name"));
  HEARTH_TRY(std::string checked, function_name(at(path, "name"), *name));
  if (is_custom) {
    thread_local dom::parser parser;
    r.asked.custom_tools.push_back(checked);
    r.chat.tools.push_back(make_tool(std::move(checked), member(tool, "description"),
                                     parser.parse(std::string_view(kCustomSchema)).value()));
    return {};
  }
  const auto parameters = member(tool, "parameters");
  if (parameters) HEARTH_TRY_VOID(as_object(at(path, "parameters"), *parameters));
  r.chat.tools.push_back(make_tool(std::move(checked), member(tool, "description"), parameters));
  return {};
}

Parsed<> set_tools(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array tools, as_array(param, value));
  if (tools.size() > kToolsMax) return too_many(param, kToolsMax, tools.size());
  r.asked.tools_json = simdjson::minify(tools);
  std::size_t i = 0;
  for (const dom::element tool : tools) {
    HEARTH_TRY_VOID(add_tool(r, fmt::format("{}[{}]", param, i++), tool));
  }
  return {};
}

// A word, or an object that names a function or a custom tool.
Parsed<> set_tool_choice(Request& r, std::string_view param, dom::element value) {
  r.asked.tool_choice_json = simdjson::minify(value);
  if (!value.is_object()) return openai::set_tool_choice(r.chat, param, value);
  HEARTH_TRY(const dom::object choice, as_object(param, value));
  HEARTH_TRY(const std::string type, text_member(param, choice, "type"));
  if (type != "function" && type != "custom") {
    return refuse("unsupported_value", at(param, "type"),
                  fmt::format("Unsupported value: '{}' is '{}', but this hub knows 'function' and 'custom'.",
                              at(param, "type"), type.substr(0, 40)));
  }
  HEARTH_TRY(r.chat.tool_name, text_member(param, choice, "name"));
  r.chat.tool_choice = hub::ToolChoice::kRequired;
  return {};
}

// ---- Other fields ----

Parsed<> set_reasoning(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object reasoning, as_object(param, value));
  const auto effort = member(reasoning, "effort");
  if (!effort) return {};
  return openai::set_reasoning_effort(r.chat, at(param, "effort"), *effort);
}

Parsed<> set_text(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object text, as_object(param, value));
  const auto format = member(text, "format");
  if (!format) return {};
  const std::string path = at(param, "format");
  r.asked.format_json = simdjson::minify(*format);
  HEARTH_TRY(const dom::object object, as_object(path, *format));
  HEARTH_TRY(const std::string type, text_member(path, object, "type"));
  if (type != "json_schema") {
    HEARTH_TRY(r.chat.grammar, parse_answer_format("response_format", *format));
    r.chat.format_field = "response_format";
    r.chat.format_json = r.asked.format_json;
    return {};
  }
  // Chats wrap the schema once more; here it lies beside its name.
  const auto schema = member(object, "schema");
  if (!schema) return missing(at(path, "schema"));
  HEARTH_TRY(r.chat.grammar, parse_answer_format("json_schema", *schema));
  r.chat.format_field = "json_schema";
  r.chat.format_json = simdjson::minify(*schema);
  return {};
}

Parsed<> set_include(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array list, as_array(param, value));
  for (const dom::element entry : list) {
    HEARTH_TRY(const std::string_view name, as_string(param, entry));
    if (name == "message.output_text.logprobs") r.asked.has_logprobs = r.chat.wants_logprobs = true;
  }
  return {};
}

Parsed<> refuse_memory(Request&, std::string_view param, dom::element) {
  return refuse("unsupported_value", std::string(param),
                fmt::format("Unsupported parameter: '{}': this hub keeps no responses; send the whole "
                            "conversation as 'input'.", param));
}

Parsed<> check_background(Request&, std::string_view param, dom::element value) {
  HEARTH_TRY(const bool is_background, as_bool(param, value));
  if (!is_background) return {};
  return refuse("unsupported_value", std::string(param),
                "Unsupported value: 'background' must be false; this hub answers at once, or streams.");
}

constexpr auto kFields = std::to_array<Field<Request>>({
    {"model", set_field<set_model>},
    {"instructions", set_instructions},
    {"input", set_input},
    {"max_output_tokens", set_field<set_max_tokens>},
    {"temperature", set_field<set_temperature>},
    {"top_p", set_field<set_top_p>},
    {"top_logprobs", set_field<set_top_logprobs>},
    {"tools", set_tools},
    {"tool_choice", set_tool_choice},
    {"parallel_tool_calls", set_chat_bool<&hub::ChatRequest::parallel_tool_calls>},
    {"reasoning", set_reasoning},
    {"text", set_text},
    {"include", set_include},
    {"store", set_chat_bool<&hub::ChatRequest::may_store>},
    {"stream", set_bool<&Request::stream>},
    {"previous_response_id", refuse_memory},
    {"conversation", refuse_memory},
    {"background", check_background},
});

Parsed<Request> parse_with(dom::parser& parser, std::string_view body) {
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  Request r;
  HEARTH_TRY_VOID(set_fields(r, object, kFields));
  for (const char* const name : {"model", "input"}) {
    if (!member(object, name)) return missing(name);
  }
  HEARTH_TRY_VOID(check_tool_choice(r.chat));
  r.asked.model = r.chat.model;
  r.asked.max_output_tokens = r.chat.max_tokens;
  r.asked.is_stored = r.chat.may_store;
  r.asked.calls_in_parallel = r.chat.parallel_tool_calls;
  r.asked.effort = r.chat.reasoning_effort;
  r.asked.temperature = r.chat.sampling.temperature;
  r.asked.top_p = r.chat.sampling.top_p;
  return r;
}

}  // namespace

std::expected<ChatCall, ApiError> parse_call(std::string_view body) {
  HEARTH_TRY(Request request,
             with_parser(body.size(), [&](dom::parser& parser) { return parse_with(parser, body); }));
  return ChatCall{.chat = std::move(request.chat),
                  .stream = request.stream,
                  .make_writer = [asked = std::move(request.asked)](const AnswerMark& mark) {
                    return make_responses_writer(mark, asked);
                  }};
}

}  // namespace hearth::api::responses

#include "api/anthropic/messages_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "api/answer_format.h"
#include "api/anthropic/messages_writer.h"
#include "api/chat_fields.h"

namespace hearth::api::anthropic {
namespace {

constexpr std::string_view kAdvisorTool = "advisor_";  // And the date of its definition.

struct Request {
  hub::ChatRequest chat;
  bool stream = false;
  bool thinks = false;
  bool knows_advice = false;  // The client offers the advisor tool.
  std::string effort;
};

// ---- Content: a string, or blocks, each of a type ----

Parsed<std::string_view> type_of(std::string_view path, dom::object block) {
  const auto type = member(block, "type");
  if (!type) return missing(at(path, "type"));
  return as_string(at(path, "type"), *type);
}

std::unexpected<ApiError> unsupported_block(std::string_view path, std::string_view type) {
  return refuse("unsupported_value", at(path, "type"),
                fmt::format("Unsupported content block '{}' at '{}': the models of this hub read text only; "
                            "send blocks of type 'text'.", type.substr(0, 40), path));
}

void append_line(std::string& text, std::string_view more) {
  if (!text.empty() && !more.empty()) text.push_back('\n');
  text.append(more);
}

Parsed<> append_text_member(std::string& out, std::string_view path, dom::object block, const char* name) {
  const auto value = member(block, name);
  if (!value) return missing(at(path, name));
  HEARTH_TRY(const std::string_view text, as_string(at(path, name), *value));
  append_line(out, text);
  return {};
}

// A system prompt or a tool's result: a string, or blocks of text alone.
Parsed<std::string> text_of(std::string_view path, dom::element value) {
  if (!value.is_array()) {
    HEARTH_TRY(const std::string_view text, as_string(path, value));
    return std::string(text);
  }
  std::string joined;
  std::size_t i = 0;
  HEARTH_TRY(const dom::array blocks, as_array(path, value));
  for (const dom::element element : blocks) {
    const std::string block_path = fmt::format("{}[{}]", path, i++);
    HEARTH_TRY(const dom::object block, as_object(block_path, element));
    HEARTH_TRY(const std::string_view type, type_of(block_path, block));
    if (type != "text") return unsupported_block(block_path, type);
    HEARTH_TRY_VOID(append_text_member(joined, block_path, block, "text"));
  }
  return joined;
}

// One message of the wire may be several of the hub's: a user's results of tools are turns of their own.
struct Turns {
  hub::Role role = hub::Role::kUser;
  std::vector<hub::Message> done;
  hub::Message open;
  bool has_open = false;

  hub::Message& current() {
    if (!std::exchange(has_open, true)) open = {.role = role};
    return open;
  }
  void close() {
    if (std::exchange(has_open, false)) done.push_back(std::move(open));
  }
};

Parsed<> add_text(Turns& turns, std::string_view path, dom::object block) {
  return append_text_member(turns.current().content, path, block, "text");
}

Parsed<> add_thinking(Turns& turns, std::string_view path, dom::object block) {
  return append_text_member(turns.current().reasoning, path, block, "thinking");
}

Parsed<> skip_block(Turns&, std::string_view, dom::object) { return {}; }

Parsed<> add_tool_use(Turns& turns, std::string_view path, dom::object block) {
  hub::ToolCall call;
  HEARTH_TRY_VOID(set_optional_text(call.id, path, block, "id"));
  HEARTH_TRY_VOID(set_optional_text(call.name, path, block, "name"));
  if (call.name.empty()) return missing(at(path, "name"));
  call.arguments = "{}";
  if (const auto input = member(block, "input")) {
    HEARTH_TRY(const dom::object object, as_object(at(path, "input"), *input));
    call.arguments = simdjson::minify(object);
  }
  turns.current().tool_calls.push_back(std::move(call));
  return {};
}

Parsed<> add_tool_result(Turns& turns, std::string_view path, dom::object block) {
  turns.close();
  hub::Message result{.role = hub::Role::kTool};
  HEARTH_TRY_VOID(set_optional_text(result.tool_call_id, path, block, "tool_use_id"));
  if (result.tool_call_id.empty()) return missing(at(path, "tool_use_id"));
  if (const auto content = member(block, "content")) {
    HEARTH_TRY(result.content, text_of(at(path, "content"), *content));
  }
  bool is_error = false;
  if (const auto value = member(block, "is_error")) {
    HEARTH_TRY(is_error, as_bool(at(path, "is_error"), *value));
  }
  if (is_error) result.content.insert(0, "Error: ");
  turns.done.push_back(std::move(result));
  return {};
}

// What an adviser said in an earlier turn, which the model weighed while it thought.
Parsed<> add_advice(Turns& turns, std::string_view path, dom::object block) {
  const auto content = member(block, "content");
  if (!content) return missing(at(path, "content"));
  HEARTH_TRY(const dom::object result, as_object(at(path, "content"), *content));
  std::string text;
  HEARTH_TRY_VOID(set_optional_text(text, at(path, "content"), result, "text"));
  append_line(turns.current().reasoning, text);
  return {};
}

struct BlockRow {
  std::string_view type;
  hub::Role role;  // Who may send it.
  Parsed<> (*add)(Turns& turns, std::string_view path, dom::object block);
};

constexpr auto kBlocks = std::to_array<BlockRow>({
    {"text", hub::Role::kUser, add_text},
    {"text", hub::Role::kAssistant, add_text},
    {"text", hub::Role::kSystem, add_text},
    {"thinking", hub::Role::kAssistant, add_thinking},
    {"redacted_thinking", hub::Role::kAssistant, skip_block},
    {"tool_use", hub::Role::kAssistant, add_tool_use},
    {"server_tool_use", hub::Role::kAssistant, skip_block},
    {"advisor_tool_result", hub::Role::kAssistant, add_advice},
    {"tool_result", hub::Role::kUser, add_tool_result},
});

Parsed<> add_block(Turns& turns, std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object block, as_object(path, value));
  HEARTH_TRY(const std::string_view type, type_of(path, block));
  const auto* const row = std::ranges::find_if(
      kBlocks, [&](const BlockRow& r) { return r.type == type && r.role == turns.role; });
  if (row == kBlocks.end()) return unsupported_block(path, type);
  return row->add(turns, path, block);
}

Parsed<hub::Role> role_of(std::string_view path, dom::object message) {
  const auto value = member(message, "role");
  const std::string param = at(path, "role");
  if (!value) return missing(param);
  HEARTH_TRY(const std::string_view name, as_string(param, *value));
  if (name == "user") return hub::Role::kUser;
  if (name == "assistant") return hub::Role::kAssistant;
  if (name == "system") return hub::Role::kSystem;
  return refuse("invalid_value", param,
                fmt::format("Invalid value: '{}' at '{}'. Supported values are: 'user' and 'assistant'.",
                            name.substr(0, 40), param));
}

Parsed<> add_message(std::vector<hub::Message>& all, std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object message, as_object(path, value));
  Turns turns;
  HEARTH_TRY(turns.role, role_of(path, message));
  const auto content = member(message, "content");
  const std::string param = at(path, "content");
  if (!content) return missing(param);
  if (content->is_array()) {
    std::size_t i = 0;
    HEARTH_TRY(const dom::array blocks, as_array(param, *content));
    for (const dom::element block : blocks) {
      HEARTH_TRY_VOID(add_block(turns, fmt::format("{}[{}]", param, i++), block));
    }
  } else {
    HEARTH_TRY(turns.current().content, as_string(param, *content));
  }
  turns.close();
  std::ranges::move(turns.done, std::back_inserter(all));
  return {};
}

// ---- Fields ----

Parsed<> set_messages(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array messages, as_array(param, value));
  if (messages.size() > kMessagesMax) return too_many(param, kMessagesMax, messages.size());
  std::size_t i = 0;
  for (const dom::element message : messages) {
    HEARTH_TRY_VOID(add_message(r.chat.messages, fmt::format("{}[{}]", param, i++), message));
  }
  if (r.chat.messages.empty()) {
    return refuse("empty_array", std::string(param), "Invalid 'messages': at least one message is required.");
  }
  if (r.chat.messages.back().role != hub::Role::kAssistant) return {};
  return refuse("invalid_value", std::string(param),
                "Invalid 'messages': the last one must be the user's; this hub does not go on with an "
                "assistant's message.");
}

// Comes before the messages in the table's order, and in the conversation.
Parsed<> set_system(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(std::string text, text_of(param, value));
  if (!text.empty()) r.chat.messages.push_back({.role = hub::Role::kSystem, .content = std::move(text)});
  return {};
}

Parsed<> add_tool(Request& r, std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object tool, as_object(path, value));
  std::string type;
  HEARTH_TRY_VOID(set_optional_text(type, path, tool, "type"));
  // Whom the hub asks, and whether, is the configuration's business and not the client's.
  if (type.starts_with(kAdvisorTool)) {
    r.knows_advice = true;
    return {};
  }
  if (!type.empty() && type != "custom") {
    return refuse("unsupported_value", at(path, "type"),
                  fmt::format("Unsupported tool '{}' at '{}': this hub runs no tools itself; send tools with "
                              "an 'input_schema', which the client runs.", type.substr(0, 60), path));
  }
  const auto name = member(tool, "name");
  if (!name) return missing(at(path, "name"));
  HEARTH_TRY(std::string checked, function_name(at(path, "name"), *name));
  const auto schema = member(tool, "input_schema");
  if (!schema) return missing(at(path, "input_schema"));
  HEARTH_TRY_VOID(as_object(at(path, "input_schema"), *schema));
  r.chat.tools.push_back(make_tool(std::move(checked), member(tool, "description"), schema));
  return {};
}

Parsed<> set_tools(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array tools, as_array(param, value));
  if (tools.size() > kToolsMax) return too_many(param, kToolsMax, tools.size());
  std::size_t i = 0;
  for (const dom::element tool : tools) {
    HEARTH_TRY_VOID(add_tool(r, fmt::format("{}[{}]", param, i++), tool));
  }
  return {};
}

Parsed<> set_tool_choice(Request& r, std::string_view param, dom::element value) {
  struct Row {
    std::string_view type;
    hub::ToolChoice choice;
  };
  static constexpr auto kChoices = std::to_array<Row>({{"auto", hub::ToolChoice::kAuto},
                                                       {"any", hub::ToolChoice::kRequired},
                                                       {"tool", hub::ToolChoice::kRequired},
                                                       {"none", hub::ToolChoice::kNone}});
  HEARTH_TRY(const dom::object choice, as_object(param, value));
  HEARTH_TRY(const std::string_view type, type_of(param, choice));
  const auto* const row = std::ranges::find(kChoices, type, &Row::type);
  if (row == kChoices.end()) {
    return refuse("invalid_value", at(param, "type"),
                  fmt::format("Invalid value: '{}'. Supported values are: 'auto', 'any', 'tool', and 'none'.",
                              type.substr(0, 40)));
  }
  r.chat.tool_choice = row->choice;
  if (type == "tool") {
    HEARTH_TRY_VOID(set_optional_text(r.chat.tool_name, param, choice, "name"));
    if (r.chat.tool_name.empty()) return missing(at(param, "name"));
    if (r.knows_advice && r.chat.tool_name == "advisor") {
      r.chat.advice = hub::AdviceMode::kAlways;
      r.chat.tool_choice = hub::ToolChoice::kAuto;
      r.chat.tool_name.clear();
    }
  }
  if (const auto alone = member(choice, "disable_parallel_tool_use")) {
    HEARTH_TRY(const bool is_alone, as_bool(at(param, "disable_parallel_tool_use"), *alone));
    r.chat.parallel_tool_calls = !is_alone;
  }
  return {};
}

Parsed<> set_thinking(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object thinking, as_object(param, value));
  HEARTH_TRY(const std::string_view type, type_of(param, thinking));
  r.thinks = type == "enabled" || type == "adaptive";
  if (r.thinks || type == "disabled") return {};
  return refuse("invalid_value", at(param, "type"),
                fmt::format("Invalid value: '{}'. Supported values are: 'adaptive', 'enabled', and "
                            "'disabled'.", type.substr(0, 40)));
}

Parsed<> set_output_config(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object config, as_object(param, value));
  HEARTH_TRY_VOID(set_optional_text(r.effort, param, config, "effort"));
  const auto format = member(config, "format");
  if (!format) return {};
  const std::string path = at(param, "format");
  HEARTH_TRY(const dom::object object, as_object(path, *format));
  HEARTH_TRY(const std::string_view type, type_of(path, object));
  if (type != "json_schema") {
    return refuse("invalid_value", at(path, "type"),
                  fmt::format("Invalid value: '{}'. The only supported value is 'json_schema'.",
                              type.substr(0, 40)));
  }
  const auto schema = member(object, "schema");
  if (!schema) return missing(at(path, "schema"));
  HEARTH_TRY(r.chat.grammar, parse_answer_format("json_schema", *schema));
  r.chat.format_field = "json_schema";
  r.chat.format_json = simdjson::minify(*schema);
  return {};
}

constexpr auto kFields = std::to_array<Field<Request>>({
    {"model", set_field<set_model>},
    {"max_tokens", set_field<set_max_tokens>},
    {"system", set_system},
    {"messages", set_messages},
    {"stop_sequences", set_field<set_stop>},
    {"temperature", set_field<set_temperature>},
    {"top_p", set_field<set_top_p>},
    {"top_k", set_field<set_top_k>},
    {"tools", set_tools},
    {"tool_choice", set_tool_choice},
    {"thinking", set_thinking},
    {"output_config", set_output_config},
    {"stream", set_bool<&Request::stream>},
});

Parsed<Request> parse_with(dom::parser& parser, std::string_view body, bool needs_max_tokens) {
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  Request r;
  HEARTH_TRY_VOID(set_fields(r, object, kFields));
  for (const char* const name : {"model", "messages", "max_tokens"}) {
    const bool is_needed = needs_max_tokens || std::string_view(name) != "max_tokens";
    if (is_needed && !member(object, name)) return missing(name);
  }
  HEARTH_TRY_VOID(check_tool_choice(r.chat));
  r.chat.reasoning_effort = !r.thinks ? "none" : r.effort.empty() ? "medium" : r.effort;
  return r;
}

Parsed<Request> parse(std::string_view body, bool needs_max_tokens) {
  return with_parser(body.size(), [&](dom::parser& parser) { return parse_with(parser, body, needs_max_tokens); });
}

}  // namespace

std::expected<ChatCall, ApiError> parse_call(std::string_view body) {
  HEARTH_TRY(Request request, parse(body, true));
  std::string model = request.chat.model;
  return ChatCall{.chat = std::move(request.chat),
                  .stream = request.stream,
                  .make_writer = [model = std::move(model), shows = request.knows_advice](const AnswerMark& mark) {
                    return make_messages_writer(mark, model, shows);
                  }};
}

std::expected<ChatCall, ApiError> parse_count(std::string_view body) {
  HEARTH_TRY(Request request, parse(body, false));
  request.chat.counts_only = true;
  return ChatCall{.chat = std::move(request.chat),
                  .make_writer = [](const AnswerMark&) { return make_count_writer(); }};
}

}  // namespace hearth::api::anthropic

#include "api/openai/tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace hearth::api::openai {
namespace {

constexpr auto kEfforts = std::to_array<std::string_view>(
    {"none", "minimal", "low", "medium", "high", "xhigh", "max"});

// The member `function` of a tool or of a choice, which must be of the type "function".
Parsed<dom::object> function_of(std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object object, as_object(path, value));
  const std::string type_param = at(path, "type");
  HEARTH_TRY(const std::string_view type, need_text(object, path, "type"));
  if (type != "function") {
    return refuse("unsupported_value", type_param,
                  fmt::format("Unsupported value: '{}' is '{}', but this hub knows 'function' only.",
                              type_param, type.substr(0, 40)));
  }
  HEARTH_TRY(const dom::element function, need(object, path, "function"));
  return as_object(at(path, "function"), function);
}

Parsed<hub::Tool> parse_tool(std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object function, function_of(path, value));
  const std::string param = at(path, "function.name");
  const auto name = member(function, "name");
  if (!name) return missing(param);
  hub::Tool tool{.definition = simdjson::minify(function)};
  HEARTH_TRY(tool.name, function_name(param, *name));
  if (const auto parameters = member(function, "parameters")) {
    HEARTH_TRY_VOID(as_object(at(path, "function.parameters"), *parameters));
    tool.parameters = simdjson::minify(*parameters);
  }
  return tool;
}

// Some clients replay the arguments as an object instead of its text.
Parsed<std::string> parse_arguments(std::string_view param, dom::element value) {
  if (value.is_object()) return std::string(simdjson::minify(value));
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  return std::string(text);
}

Parsed<hub::ToolCall> parse_tool_call(std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object call, as_object(path, value));
  hub::ToolCall out;
  HEARTH_TRY_VOID(set_optional_text(out.id, path, call, "id"));
  const std::string function_path = at(path, "function");
  HEARTH_TRY(const dom::element function_value, need(call, path, "function"));
  HEARTH_TRY(const dom::object function, as_object(function_path, function_value));
  HEARTH_TRY(out.name, need_text(function, function_path, "name"));
  if (const auto arguments = member(function, "arguments")) {
    HEARTH_TRY(out.arguments, parse_arguments(at(function_path, "arguments"), *arguments));
  }
  return out;
}

}  // namespace

Parsed<> set_tools(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array tools, as_array(param, value));
  if (tools.size() > kToolsMax) return too_many(param, kToolsMax, tools.size());
  request.tools.clear();
  std::size_t i = 0;
  for (const dom::element tool : tools) {
    HEARTH_TRY(hub::Tool parsed, parse_tool(fmt::format("{}[{}]", param, i++), tool));
    request.tools.push_back(std::move(parsed));
  }
  return {};
}

Parsed<> set_tool_choice(hub::ChatRequest& request, std::string_view param, dom::element value) {
  struct Row {
    std::string_view name;
    hub::ToolChoice choice;
  };
  static constexpr auto kChoices = std::to_array<Row>({{"none", hub::ToolChoice::kNone},
                                                       {"auto", hub::ToolChoice::kAuto},
                                                       {"required", hub::ToolChoice::kRequired}});
  if (value.is_object()) {
    HEARTH_TRY(const dom::object function, function_of(param, value));
    HEARTH_TRY(request.tool_name, need_text(function, at(param, "function"), "name"));
    request.tool_choice = hub::ToolChoice::kRequired;
    return {};
  }
  if (!value.is_string()) return wrong_type(param, "a string or an object", value);
  HEARTH_TRY(const std::string_view name, as_string(param, value));
  const auto* row = std::ranges::find(kChoices, name, &Row::name);
  if (row == kChoices.end()) {
    return refuse("invalid_value", std::string(param),
                  fmt::format("Invalid value: '{}'. Supported values are: 'none', 'auto', and "
                              "'required'.", name.substr(0, 40)));
  }
  request.tool_choice = row->choice;
  return {};
}

Parsed<> set_reasoning_effort(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view effort, as_string(param, value));
  if (std::ranges::find(kEfforts, effort) == kEfforts.end()) {
    return refuse("invalid_value", std::string(param),
                  fmt::format("Invalid value: '{}'. Supported values are: {}.", effort.substr(0, 40),
                              fmt::join(kEfforts, ", ")));
  }
  request.reasoning_effort = effort;
  return {};
}

Parsed<> set_template_arguments(hub::ChatRequest& request, std::string_view param,
                                dom::element value) {
  HEARTH_TRY(const dom::object arguments, as_object(param, value));
  request.template_arguments = simdjson::minify(arguments);
  if (request.template_arguments.size() <= kTemplateArgumentsBytesMax) return {};
  return refuse("string_above_max_length", std::string(param),
                fmt::format("Invalid '{}': expected at most {} bytes, but got {} instead.", param,
                            kTemplateArgumentsBytesMax, request.template_arguments.size()));
}

Parsed<> set_tool_calls(hub::Message& out, std::string_view path, dom::object message) {
  const auto value = member(message, "tool_calls");
  if (!value) return {};
  const std::string param = at(path, "tool_calls");
  HEARTH_TRY(const dom::array calls, as_array(param, *value));
  if (calls.size() > kToolsMax) return too_many(param, kToolsMax, calls.size());
  std::size_t i = 0;
  for (const dom::element call : calls) {
    HEARTH_TRY(hub::ToolCall parsed, parse_tool_call(fmt::format("{}[{}]", param, i++), call));
    out.tool_calls.push_back(std::move(parsed));
  }
  return {};
}

}  // namespace hearth::api::openai

#include "api/chat_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/json_writer.h"

namespace hearth::api {
namespace {

bool is_function_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= kFunctionNameBytesMax &&
         std::ranges::all_of(name, is_allowed);
}

Parsed<> add_stop(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  if (text.empty() || text.size() > kStopBytesMax) {
    return refuse("invalid_value", std::string(param),
                  fmt::format("Invalid '{}': a stop string must have 1 to {} bytes, but this has {}.",
                              param, kStopBytesMax, text.size()));
  }
  request.stop.emplace_back(text);
  return {};
}

}  // namespace

Parsed<> set_model(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view name, as_string(param, value));
  if (name.empty()) return missing(param);
  if (name.size() > kModelNameBytesMax) {
    return refuse("string_above_max_length", std::string(param),
                  fmt::format("Invalid '{}': expected at most {} bytes, but got {} instead.", param,
                              kModelNameBytesMax, name.size()));
  }
  request.model = name;
  return {};
}

Parsed<> set_max_tokens(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t n, as_integer(param, value, 1, kTokensMax));
  request.max_tokens = static_cast<std::uint32_t>(n);
  return {};
}

Parsed<> set_top_logprobs(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t n, as_integer(param, value, 0, kTopLogprobsMax));
  request.n_top_logprobs = static_cast<std::uint32_t>(n);
  return {};
}

Parsed<> set_seed(hub::ChatRequest& request, std::string_view param, dom::element value) {
  using Limits = std::numeric_limits<std::int64_t>;
  HEARTH_TRY(const std::int64_t seed, as_integer(param, value, Limits::min(), Limits::max()));
  request.sampling.seed = static_cast<std::uint64_t>(seed);
  request.has_seed = true;
  return {};
}

Parsed<> set_temperature(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const double number, as_number(param, value, 0, 2));
  request.sampling.temperature = static_cast<float>(number);
  request.has_temperature = true;
  return {};
}

// 0 means "only the best", which a share of nothing can't say: the least positive value does.
Parsed<> set_top_p(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const double number, as_number(param, value, 0, 1));
  request.sampling.top_p = std::max(static_cast<float>(number), 1e-6F);
  return {};
}

// -1 and 0 both mean "all": servers differ.
Parsed<> set_top_k(hub::ChatRequest& request, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t k, as_integer(param, value, -1, kTokensMax));
  request.sampling.top_k = static_cast<std::uint32_t>(std::max<std::int64_t>(k, 0));
  return {};
}

Parsed<> set_stop(hub::ChatRequest& request, std::string_view param, dom::element value) {
  request.stop.clear();
  if (value.is_string()) return add_stop(request, param, value);
  if (!value.is_array()) return wrong_type(param, "a string or an array of strings", value);
  HEARTH_TRY(const dom::array stops, as_array(param, value));
  if (stops.size() > kStopsMax) return too_many(param, kStopsMax, stops.size());
  std::size_t i = 0;
  for (const dom::element stop : stops) {
    HEARTH_TRY_VOID(add_stop(request, fmt::format("{}[{}]", param, i++), stop));
  }
  return {};
}

Parsed<std::string> function_name(std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view name, as_string(param, value));
  if (is_function_name(name)) return std::string(name);
  return refuse("invalid_value", std::string(param),
                fmt::format("Invalid '{}': expected 1 to {} letters, digits, '_', '-' or '.'.", param,
                            kFunctionNameBytesMax));
}

hub::Tool make_tool(std::string name, std::optional<dom::element> description,
                    std::optional<dom::element> parameters) {
  hub::Tool tool{.name = std::move(name)};
  if (parameters) tool.parameters = simdjson::minify(*parameters);
  JsonWriter json(tool.definition);
  json.begin_object().key("name").value(tool.name);
  if (description) json.key("description").raw(std::string(simdjson::minify(*description)));
  if (parameters) json.key("parameters").raw(tool.parameters);
  json.end_object();
  return tool;
}

Parsed<> check_tool_choice(const hub::ChatRequest& request) {
  if (request.tool_choice != hub::ToolChoice::kRequired) return {};
  if (request.tools.empty()) {
    return refuse("invalid_value", "tool_choice",
                  "Invalid value for 'tool_choice': it needs 'tools' to choose from.");
  }
  if (request.tool_name.empty()) return {};
  if (std::ranges::find(request.tools, request.tool_name, &hub::Tool::name) != request.tools.end()) {
    return {};
  }
  return refuse("invalid_value", "tool_choice",
                fmt::format("Tool choice '{}' not found in 'tools' parameter.",
                            request.tool_name.substr(0, 80)));
}

}  // namespace hearth::api

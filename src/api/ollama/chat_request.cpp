#include "api/ollama/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "api/answer_format.h"
#include "api/chat_fields.h"
#include "api/ollama/chat_writer.h"
#include "api/openai/request.h"
#include "api/openai/tools.h"

namespace hearth::api::ollama {
namespace {

struct Request {
  hub::ChatRequest chat;
  bool stream = true;
  bool is_raw = false;
  std::string system, prompt;
};

std::unexpected<ApiError> no_images(const std::string& param) {
  return refuse("unsupported_value", param,
                fmt::format("Unsupported value: '{}' must be empty; the models of this hub read text only.", param));
}

// ---- Messages ----

Parsed<> add_call(hub::Message& out, const std::string& path, dom::element value) {
  HEARTH_TRY(const dom::object call, as_object(path, value));
  const auto function = member(call, "function");
  if (!function) return missing(at(path, "function"));
  HEARTH_TRY(const dom::object object, as_object(at(path, "function"), *function));
  hub::ToolCall made{.arguments = "{}"};
  HEARTH_TRY_VOID(set_optional_text(made.id, path, call, "id"));
  HEARTH_TRY_VOID(set_optional_text(made.name, at(path, "function"), object, "name"));
  if (made.name.empty()) return missing(at(path, "function.name"));
  if (const auto arguments = member(object, "arguments")) {
    HEARTH_TRY(const dom::object checked, as_object(at(path, "function.arguments"), *arguments));
    made.arguments = simdjson::minify(checked);
  }
  out.tool_calls.push_back(std::move(made));
  return {};
}

Parsed<hub::Role> role_of(const std::string& path, dom::object message) {
  struct Row {
    std::string_view name;
    hub::Role role;
  };
  static constexpr auto kRoles = std::to_array<Row>({{"system", hub::Role::kSystem},
                                                     {"user", hub::Role::kUser},
                                                     {"assistant", hub::Role::kAssistant},
                                                     {"tool", hub::Role::kTool}});
  std::string name;
  HEARTH_TRY_VOID(set_optional_text(name, path, message, "role"));
  if (name.empty()) return missing(at(path, "role"));
  const auto* const row = std::ranges::find(kRoles, name, &Row::name);
  if (row != kRoles.end()) return row->role;
  return refuse("invalid_value", at(path, "role"),
                fmt::format("Invalid value: '{}'. Supported values are: 'system', 'user', 'assistant', and 'tool'.",
                            name.substr(0, 40)));
}

Parsed<hub::Message> parse_message(const std::string& path, dom::element value) {
  HEARTH_TRY(const dom::object message, as_object(path, value));
  hub::Message out;
  HEARTH_TRY(out.role, role_of(path, message));
  HEARTH_TRY_VOID(set_optional_text(out.content, path, message, "content"));
  HEARTH_TRY_VOID(set_optional_text(out.reasoning, path, message, "thinking"));
  HEARTH_TRY_VOID(set_optional_text(out.name, path, message, "tool_name"));
  HEARTH_TRY_VOID(set_optional_text(out.tool_call_id, path, message, "tool_call_id"));
  if (const auto images = member(message, "images")) {
    HEARTH_TRY(const dom::array list, as_array(at(path, "images"), *images));
    if (list.size() > 0) return no_images(at(path, "images"));
  }
  const auto calls = member(message, "tool_calls");
  if (!calls) return out;
  HEARTH_TRY(const dom::array list, as_array(at(path, "tool_calls"), *calls));
  if (list.size() > kToolsMax) return too_many(at(path, "tool_calls"), kToolsMax, list.size());
  std::size_t i = 0;
  for (const dom::element call : list) {
    HEARTH_TRY_VOID(add_call(out, fmt::format("{}.tool_calls[{}]", path, i++), call));
  }
  return out;
}

Parsed<> set_messages(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array messages, as_array(param, value));
  if (messages.size() > kMessagesMax) return too_many(param, kMessagesMax, messages.size());
  std::size_t i = 0;
  for (const dom::element message : messages) {
    HEARTH_TRY(hub::Message parsed, parse_message(fmt::format("{}[{}]", param, i++), message));
    r.chat.messages.push_back(std::move(parsed));
  }
  return {};
}

// ---- Options: as Ollama's model files name them ----

template <auto Member, double Min, double Max>
Parsed<> set_number(hub::ChatRequest& chat, std::string_view param, dom::element value) {
  HEARTH_TRY(const double number, as_number(param, value, Min, Max));
  chat.sampling.*Member = static_cast<float>(number);
  return {};
}

// -1 and -2: as far as the context goes.
Parsed<> set_num_predict(hub::ChatRequest& chat, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t n, as_integer(param, value, -2, kTokensMax));
  chat.max_tokens = static_cast<std::uint32_t>(std::max<std::int64_t>(n, 0));
  return {};
}

using S = engine::SamplingOptions;

constexpr auto kOptions = std::to_array<Field<hub::ChatRequest>>({
    {"temperature", set_temperature},
    {"top_p", set_top_p},
    {"top_k", set_top_k},
    {"min_p", set_number<&S::min_p, 0.0, 1.0>},
    {"typical_p", set_number<&S::typical_p, 1e-6, 1.0>},
    {"repeat_penalty", set_number<&S::repetition_penalty, 0.01, 10.0>},
    {"presence_penalty", set_number<&S::presence_penalty, -2.0, 2.0>},
    {"frequency_penalty", set_number<&S::frequency_penalty, -2.0, 2.0>},
    {"seed", set_seed},
    {"num_predict", set_num_predict},
    {"stop", set_stop},
});

Parsed<> set_options(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object options, as_object(param, value));
  for (const Field<hub::ChatRequest>& option : kOptions) {
    if (const auto found = member(options, option.name)) {
      HEARTH_TRY_VOID(option.set(r.chat, at(param, option.name), *found));
    }
  }
  return {};
}

// ---- Other fields ----

// "json", a schema, or nothing.
Parsed<> set_format(Request& r, std::string_view, dom::element value) {
  std::string_view word;
  dom::parser parser;
  dom::element schema = value;
  if (value.get_string().get(word) == simdjson::SUCCESS) {
    if (word.empty()) return {};
    if (word != "json") {
      return refuse("invalid_value", "format",
                    fmt::format("Invalid value: '{}' for 'format'. Supported values are: 'json' and a JSON schema.",
                                word.substr(0, 40)));
    }
    schema = parser.parse(std::string_view(R"({"type":"object"})")).value();
  }
  HEARTH_TRY(r.chat.grammar, parse_answer_format("json_schema", schema));
  r.chat.format_field = "json_schema";
  r.chat.format_json = simdjson::minify(schema);
  return {};
}

// true, false, or how much.
Parsed<> set_think(Request& r, std::string_view param, dom::element value) {
  bool thinks = false;
  if (value.get_bool().get(thinks) != simdjson::SUCCESS) {
    return openai::set_reasoning_effort(r.chat, param, value);
  }
  r.chat.reasoning_effort = thinks ? "medium" : "none";
  return {};
}

template <auto Member>
Parsed<> set_text(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(r.*Member, as_string(param, value));
  return {};
}

Parsed<> refuse_text(Request&, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  if (text.empty()) return {};
  return refuse("unsupported_value", std::string(param),
                fmt::format("Unsupported value: '{}' must be empty; this hub uses the model's own template and "
                            "completes text at its end only.", param));
}

Parsed<> refuse_images(Request&, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array images, as_array(param, value));
  if (images.size() == 0) return {};
  return no_images(std::string(param));
}

constexpr auto kSharedFields = std::to_array<Field<Request>>({
    {"model", set_field<set_model>},
    {"stream", set_bool<&Request::stream>},
    {"options", set_options},
    {"format", set_format},
    {"think", set_think},
    {"logprobs", set_chat_bool<&hub::ChatRequest::wants_logprobs>},
    {"top_logprobs", set_field<set_top_logprobs>},
});

constexpr auto kChatFields = std::to_array<Field<Request>>({
    {"messages", set_messages},
    {"tools", set_field<openai::set_tools>},
});

constexpr auto kGenerateFields = std::to_array<Field<Request>>({
    {"prompt", set_text<&Request::prompt>},
    {"system", set_text<&Request::system>},
    {"raw", set_bool<&Request::is_raw>},
    {"template", refuse_text},
    {"suffix", refuse_text},
    {"images", refuse_images},
});

// A prompt is a user's message, unless it is raw.
void lay_out_prompt(Request& r) {
  if (r.is_raw) {
    r.chat.prompt = std::move(r.prompt);
    return;
  }
  if (r.prompt.empty()) return;
  if (!r.system.empty()) r.chat.messages.push_back({.role = hub::Role::kSystem, .content = std::move(r.system)});
  r.chat.messages.push_back({.role = hub::Role::kUser, .content = std::move(r.prompt)});
}

Parsed<Request> parse_with(dom::parser& parser, Endpoint endpoint, std::string_view body) {
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  Request r;
  HEARTH_TRY_VOID(set_fields(r, object, kSharedFields));
  if (endpoint == Endpoint::kChat) {
    HEARTH_TRY_VOID(set_fields(r, object, kChatFields));
  } else {
    HEARTH_TRY_VOID(set_fields(r, object, kGenerateFields));
    lay_out_prompt(r);
  }
  if (!member(object, "model")) return missing("model");
  r.chat.counts_only = r.chat.messages.empty() && r.chat.prompt.empty();
  return r;
}

}  // namespace

std::expected<ChatCall, ApiError> parse_call(Endpoint endpoint, std::string_view body) {
  HEARTH_TRY(Request request,
             with_parser(body.size(), [&](dom::parser& parser) { return parse_with(parser, endpoint, body); }));
  const Asked asked{.model = request.chat.model,
                    .is_chat = endpoint == Endpoint::kChat,
                    .only_loads = request.chat.counts_only,
                    .has_logprobs = request.chat.wants_logprobs};
  return ChatCall{.chat = std::move(request.chat),
                  .stream = request.stream && !asked.only_loads,
                  .make_writer = [asked](const AnswerMark& mark) { return make_chat_writer(mark, asked); }};
}

}  // namespace hearth::api::ollama

#include "api/openai/request.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "api/answer_format.h"
#include "api/chat_fields.h"
#include "api/openai/tools.h"

namespace hearth::api::openai {
namespace {

// ---- Fields of a request: one table, one function each ----

// Sampling: numbers with a range and a place.
template <auto Member, double Min, double Max>
Parsed<> set_sampling(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const double number, as_number(param, value, Min, Max));
  r.chat.sampling.*Member = static_cast<float>(number);
  return {};
}

// A share of the probability mass.  0 means "only the best", which a share of nothing can't say: the
// least positive value does.
template <auto Member>
Parsed<> set_share(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const double number, as_number(param, value, 0, 1));
  r.chat.sampling.*Member = std::max(static_cast<float>(number), 1e-6F);
  return {};
}

Parsed<> set_n(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t n, as_integer(param, value, 1, hub::kChoicesMax));
  r.chat.n = static_cast<std::uint32_t>(n);
  return {};
}

// llama-server's list of adapters: [{"name": "A", "scale": 0.5}, ...]; "id" is the name as well.
Parsed<> set_lora(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array list, as_array(param, value));
  if (list.size() > model::kAdaptersPerSegment) {
    return too_many(param, model::kAdaptersPerSegment, list.size());
  }
  r.chat.adapters.clear();
  std::size_t i = 0;
  for (const dom::element element : list) {
    const std::string path = fmt::format("{}[{}]", param, i++);
    HEARTH_TRY(const dom::object object, as_object(path, element));
    hub::AdapterWish wish;
    for (const char* const key : {"id", "name"}) {
      const auto name = object[key];
      if (name.error() != simdjson::SUCCESS) continue;
      HEARTH_TRY(const std::string_view text, as_string(at(path, key), name.value_unsafe()));
      wish.name = text;
    }
    if (wish.name.empty()) return missing(at(path, "name"));
    if (const auto scale = object["scale"]; scale.error() == simdjson::SUCCESS) {
      HEARTH_TRY(const double weight,
                 as_number(at(path, "scale"), scale.value_unsafe(), -hub::kAdapterWeightMax,
                           hub::kAdapterWeightMax));
      wish.weight = static_cast<float>(weight);
    }
    r.chat.adapters.push_back(std::move(wish));
  }
  return {};
}

Parsed<> set_logit_bias(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object biases, as_object(param, value));
  if (biases.size() > kLogitBiasMax) return too_many(param, kLogitBiasMax, biases.size());
  r.chat.sampling.logit_bias.clear();
  for (const auto& [key, bias] : biases) {
    text::TokenId id = 0;
    const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (ec != std::errc() || end != key.data() + key.size() || id < 0) {
      return refuse("invalid_value", std::string(param),
                    fmt::format("Invalid key in '{}': expected a token id, but got '{}' instead.",
                                param, key.substr(0, 40)));
    }
    HEARTH_TRY(const double number, as_number(fmt::format("{}.{}", param, id), bias, -100, 100));
    r.chat.sampling.logit_bias.emplace_back(id, static_cast<float>(number));
  }
  return {};
}

// Completions ask for log-probabilities with a number, chats with a boolean.
Parsed<> set_completion_logprobs(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY_VOID(set_top_logprobs(r.chat, param, value));
  r.logprobs = true;
  return {};
}

Parsed<> set_stream_options(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object options, as_object(param, value));
  return set_optional_bool(r.include_usage, param, options, "include_usage");
}

Parsed<> set_answer_format(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(text::grammar::GrammarPtr grammar, parse_answer_format(param, value));
  if (grammar == nullptr) return {};
  if (r.chat.grammar != nullptr) {
    return refuse("invalid_value", std::string(param),
                  fmt::format("Invalid '{}': another field asks for a format of the answer already.",
                              param));
  }
  r.chat.grammar = std::move(grammar);
  r.chat.format_field = param;
  r.chat.format_json = simdjson::minify(value);
  return {};
}

Parsed<> set_hearth(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::object hearth, as_object(param, value));
  HEARTH_TRY_VOID(set_optional_bool(r.chat.is_preview, param, hearth, "preview"));
  const auto advice = member(hearth, "advice");
  if (!advice) return {};
  HEARTH_TRY(const std::string_view mode, as_string("hearth.advice", *advice));
  HEARTH_TRY(r.chat.advice, parse_advice(mode, "hearth.advice"));
  return {};
}

// ---- Messages ----

Parsed<hub::Role> parse_role(std::string_view path, dom::object message) {
  struct Row {
    std::string_view name;
    hub::Role role;
  };
  static constexpr auto kRoles = std::to_array<Row>({{"system", hub::Role::kSystem},
                                                     {"developer", hub::Role::kSystem},
                                                     {"user", hub::Role::kUser},
                                                     {"assistant", hub::Role::kAssistant},
                                                     {"tool", hub::Role::kTool},
                                                     {"function", hub::Role::kTool}});
  HEARTH_TRY(const std::string_view name, need_text(message, path, "role"));
  const auto* row = std::ranges::find(kRoles, name, &Row::name);
  if (row != kRoles.end()) return row->role;
  return refuse("invalid_value", at(path, "role"),
                fmt::format("Invalid value: '{}'. Supported values are: 'system', 'developer', 'user', "
                            "'assistant', and 'tool'.", name.substr(0, 40)));
}

Parsed<std::string_view> parse_part(std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object part, as_object(path, value));
  HEARTH_TRY(const std::string_view type, need_text(part, path, "type"));
  const bool refusal = type == "refusal";
  if (!refusal && type != "text" && type != "input_text" && type != "output_text") {
    return refuse("unsupported_value", at(path, "type"),
                  fmt::format("Unsupported content part '{}' at '{}': the models of this hub read text "
                              "only; send parts of type 'text'.", type.substr(0, 40), path));
  }
  return need_text(part, path, refusal ? "refusal" : "text");
}

// A string, or an array of text parts, which are joined with newlines.  Only an assistant, which may
// have nothing but tool calls, and a tool may leave it out.
Parsed<std::string> parse_content(std::string_view path, dom::object message, hub::Role role) {
  const std::string param = at(path, "content");
  const bool optional = role == hub::Role::kAssistant || role == hub::Role::kTool;
  dom::element value;
  if (message["content"].get(value) != simdjson::SUCCESS) {
    if (optional) return std::string();
    return missing(param);
  }
  if (value.is_null() && optional) return std::string();
  if (!value.is_array()) {
    HEARTH_TRY(const std::string_view text, as_string(param, value));
    return std::string(text);
  }
  std::string joined;
  std::size_t i = 0;
  HEARTH_TRY(const dom::array parts, as_array(param, value));
  for (const dom::element part : parts) {
    HEARTH_TRY(const std::string_view text, parse_part(fmt::format("{}[{}]", param, i), part));
    if (i++ > 0) joined.push_back('\n');
    joined.append(text);
  }
  return joined;
}

Parsed<hub::Message> parse_message(std::string_view path, dom::element value) {
  HEARTH_TRY(const dom::object message, as_object(path, value));
  hub::Message out;
  HEARTH_TRY(out.role, parse_role(path, message));
  HEARTH_TRY(out.content, parse_content(path, message, out.role));
  HEARTH_TRY_VOID(set_optional_text(out.name, path, message, "name"));
  HEARTH_TRY_VOID(set_optional_text(out.reasoning, path, message, "reasoning_content"));
  if (out.role == hub::Role::kAssistant) HEARTH_TRY_VOID(set_tool_calls(out, path, message));
  if (out.role == hub::Role::kTool) {
    HEARTH_TRY_VOID(set_optional_text(out.tool_call_id, path, message, "tool_call_id"));
    if (out.tool_call_id.empty() && out.name.empty()) return missing(at(path, "tool_call_id"));
  }
  return out;
}

Parsed<> set_messages(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const dom::array messages, as_array(param, value));
  if (messages.size() > kMessagesMax) return too_many(param, kMessagesMax, messages.size());
  r.chat.messages.clear();
  std::size_t i = 0;
  for (const dom::element message : messages) {
    HEARTH_TRY(hub::Message parsed, parse_message(fmt::format("{}[{}]", param, i++), message));
    r.chat.messages.push_back(std::move(parsed));
  }
  if (i > 0) return {};
  return refuse("empty_array", std::string(param),
                fmt::format("Invalid '{}': empty array. Expected an array with minimum length 1, but got "
                            "an empty array instead.", param));
}

// ---- Prompts of plain completions ----

Parsed<> set_prompt(Request& r, std::string_view param, dom::element value) {
  dom::array prompts;
  if (value.get_array().get(prompts) == simdjson::SUCCESS) {
    if (prompts.size() != 1 || !prompts.at(0).is_string()) {
      return refuse("unsupported_value", std::string(param),
                    "Unsupported value: 'prompt' must be one string, or an array with one string; send "
                    "several prompts as several requests, and text instead of token ids.");
    }
    value = prompts.at(0).value_unsafe();
  }
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  r.chat.prompt = text;
  return {};
}

Parsed<> refuse_suffix(Request&, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  if (text.empty()) return {};
  return refuse("unsupported_value", std::string(param),
                "Unsupported value: 'suffix' must be empty; this hub completes text at its end only.");
}

// How long OpenAI keeps a prompt's prefix: in memory, or for a day on disks.  Here: on disk or not.
Parsed<> set_retention(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::string_view retention, as_string(param, value));
  r.chat.may_keep_prompt = !retention.starts_with("in");
  return {};
}

Parsed<> check_best_of(Request& r, std::string_view param, dom::element value) {
  HEARTH_TRY(const std::int64_t best_of, as_integer(param, value, 1, hub::kChoicesMax));
  if (best_of == 1 || best_of == r.chat.n) return {};
  return refuse("unsupported_value", std::string(param),
                "Unsupported value: 'best_of' must be 1 or equal to 'n'.");
}

using S = engine::SamplingOptions;

constexpr auto kSharedFields = std::to_array<Field<Request>>({
    {"model", set_field<set_model>},
    {"temperature", set_field<set_temperature>},
    {"top_p", set_field<set_top_p>},
    {"min_p", set_sampling<&S::min_p, 0.0, 1.0>},
    {"typical_p", set_share<&S::typical_p>},
    {"top_k", set_field<set_top_k>},
    {"repetition_penalty", set_sampling<&S::repetition_penalty, 0.01, 10.0>},
    {"repeat_penalty", set_sampling<&S::repetition_penalty, 0.01, 10.0>},
    {"frequency_penalty", set_sampling<&S::frequency_penalty, -2.0, 2.0>},
    {"presence_penalty", set_sampling<&S::presence_penalty, -2.0, 2.0>},
    {"logit_bias", set_logit_bias},
    {"lora", set_lora},
    {"seed", set_field<set_seed>},
    {"n", set_n},
    {"max_tokens", set_field<set_max_tokens>},
    {"stop", set_field<set_stop>},
    {"ignore_eos", set_chat_bool<&hub::ChatRequest::ignore_eos>},
    {"store", set_chat_bool<&hub::ChatRequest::may_store>},
    {"prompt_cache_retention", set_retention},
    {"stream", set_bool<&Request::stream>},
    {"stream_options", set_stream_options},
    {"hearth", set_hearth},
    {"response_format", set_answer_format},
    {"grammar", set_answer_format},
    {"json_schema", set_answer_format},
    {"guided_json", set_answer_format},
    {"guided_regex", set_answer_format},
    {"guided_choice", set_answer_format},
    {"guided_grammar", set_answer_format},
    {"structured_outputs", set_answer_format},
    {"regex", set_answer_format},
    {"ebnf", set_answer_format},
});

constexpr auto kChatFields = std::to_array<Field<Request>>({
    {"messages", set_messages},
    {"logprobs", set_bool<&Request::logprobs>},
    {"top_logprobs", set_field<set_top_logprobs>},
    {"max_completion_tokens", set_field<set_max_tokens>},
    {"tools", set_field<set_tools>},
    {"tool_choice", set_field<set_tool_choice>},
    {"parallel_tool_calls", set_chat_bool<&hub::ChatRequest::parallel_tool_calls>},
    {"reasoning_effort", set_field<set_reasoning_effort>},
    {"chat_template_kwargs", set_field<set_template_arguments>},
});

constexpr auto kCompletionFields = std::to_array<Field<Request>>({
    {"prompt", set_prompt},
    {"logprobs", set_completion_logprobs},
    {"echo", set_bool<&Request::echo>},
    {"suffix", refuse_suffix},
    {"best_of", check_best_of},
});

// ---- What only shows when all fields are set ----

bool has(dom::object body, std::string_view name) { return member(body, name).has_value(); }

Parsed<> check_whole(const Request& r, dom::object body) {
  const bool chat = r.endpoint != Endpoint::kCompletion;
  if (r.endpoint != Endpoint::kTemplate && !has(body, "model")) return missing("model");
  if (chat && !has(body, "messages")) return missing("messages");
  if (!chat && !has(body, "prompt")) return missing("prompt");
  HEARTH_TRY_VOID(check_tool_choice(r.chat));
  if (chat && has(body, "top_logprobs") && !r.logprobs) {
    return refuse("invalid_value", "top_logprobs",
                  "Invalid 'top_logprobs': it needs 'logprobs' to be true.");
  }
  if (r.echo && r.logprobs) {
    return refuse("unsupported_value", "echo",
                  "Unsupported value: 'echo' can't be combined with 'logprobs'.");
  }
  return {};
}

Parsed<Request> parse_with(dom::parser& parser, Endpoint endpoint, std::string_view body) {
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  Request r{.endpoint = endpoint};
  HEARTH_TRY_VOID(set_fields(r, object, kSharedFields));
  HEARTH_TRY_VOID(endpoint == Endpoint::kCompletion ? set_fields(r, object, kCompletionFields)
                                                    : set_fields(r, object, kChatFields));
  HEARTH_TRY_VOID(check_whole(r, object));
  r.chat.wants_logprobs = r.logprobs;
  return r;
}

}  // namespace

std::expected<hub::AdviceMode, ApiError> parse_advice(std::string_view text, std::string_view param) {
  if (text == "never") return hub::AdviceMode::kNever;
  if (text == "auto") return hub::AdviceMode::kAuto;
  if (text == "always") return hub::AdviceMode::kAlways;
  return refuse("invalid_value", std::string(param),
                fmt::format("Invalid value: '{}' for '{}'. Supported values are: 'never', 'auto', and "
                            "'always'.", text.substr(0, 40), param));
}

std::expected<Request, ApiError> parse_request(Endpoint endpoint, std::string_view body) {
  return with_parser(body.size(), [&](dom::parser& parser) { return parse_with(parser, endpoint, body); });
}

}  // namespace hearth::api::openai

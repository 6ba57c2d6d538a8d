#include "hub/upstream/chat_body.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;

constexpr unsigned bit(ServerKind kind) { return static_cast<unsigned>(kind); }
constexpr unsigned kUnknown = bit(ServerKind::kUnknown), kOpenAi = bit(ServerKind::kOpenAi),
                   kOllama = bit(ServerKind::kOllama), kLlama = bit(ServerKind::kLlamaServer),
                   kVllm = bit(ServerKind::kVllm), kLmStudio = bit(ServerKind::kLmStudio);
constexpr unsigned kAll = kUnknown | kOpenAi | kOllama | kLlama | kVllm | kLmStudio;

// A field of the body: who takes it, whether the request asks for it, its value.
struct Field {
  const char* name;
  unsigned kinds;
  bool is_essential;  // Without it the answer would be another one.
  bool (*is_set)(const ChatRequest&);
  Json (*value)(const ChatRequest&);
};

using R = const ChatRequest&;

// clang-format off
constexpr Field kFields[] = {
    {"temperature", kAll, false, [](R r) { return r.has_temperature; },
     [](R r) { return Json(r.sampling.temperature); }},
    {"top_p", kAll, false, [](R r) { return r.sampling.top_p < 1; },
     [](R r) { return Json(r.sampling.top_p); }},
    {"frequency_penalty", kAll, false, [](R r) { return r.sampling.frequency_penalty != 0; },
     [](R r) { return Json(r.sampling.frequency_penalty); }},
    {"presence_penalty", kAll, false, [](R r) { return r.sampling.presence_penalty != 0; },
     [](R r) { return Json(r.sampling.presence_penalty); }},
    {"seed", kAll, false, [](R r) { return r.has_seed; },
     [](R r) { return Json(static_cast<std::int64_t>(r.sampling.seed)); }},
    {"stop", kAll, true, [](R r) { return !r.stop.empty(); }, [](R r) { return Json(r.stop); }},
    {"top_k", kAll & ~(kOpenAi | kOllama), false, [](R r) { return r.sampling.top_k != 0; },
     [](R r) { return Json(r.sampling.top_k); }},
    {"min_p", kUnknown | kLlama | kVllm, false, [](R r) { return r.sampling.min_p > 0; },
     [](R r) { return Json(r.sampling.min_p); }},
    {"typical_p", kLlama, false, [](R r) { return r.sampling.typical_p < 1; },
     [](R r) { return Json(r.sampling.typical_p); }},
    {"repetition_penalty", kUnknown | kVllm, false, [](R r) { return r.sampling.repetition_penalty != 1; },
     [](R r) { return Json(r.sampling.repetition_penalty); }},
    {"repeat_penalty", kLlama | kLmStudio, false, [](R r) { return r.sampling.repetition_penalty != 1; },
     [](R r) { return Json(r.sampling.repetition_penalty); }},
    {"ignore_eos", kLlama | kVllm, false, [](R r) { return r.ignore_eos; }, [](R) { return Json(true); }},
    {"n", kAll & ~(kOllama | kLmStudio), true, [](R r) { return r.n > 1; }, [](R r) { return Json(r.n); }},
    {"logprobs", kAll & ~kLmStudio, false, [](R r) { return r.wants_logprobs && !r.messages.empty(); },
     [](R) { return Json(true); }},
    {"top_logprobs", kAll & ~kLmStudio, false,
     [](R r) { return r.n_top_logprobs > 0 && !r.messages.empty(); },
     [](R r) { return Json(r.n_top_logprobs); }},
    {"logprobs", kAll & ~kLmStudio, false, [](R r) { return r.wants_logprobs && r.messages.empty(); },
     [](R r) { return Json(r.n_top_logprobs); }},
    {"parallel_tool_calls", kAll & ~(kOllama | kLmStudio), false,
     [](R r) { return !r.tools.empty() && !r.parallel_tool_calls; }, [](R) { return Json(false); }},
    {"reasoning_effort", kAll & ~kLmStudio, false, [](R r) { return !r.reasoning_effort.empty(); },
     [](R r) { return Json(r.reasoning_effort); }},
    {"chat_template_kwargs", kLlama | kVllm, false, [](R r) { return !r.template_arguments.empty(); },
     [](R r) { return Json::parse(r.template_arguments, nullptr, false); }},
};
// clang-format on

// Formats of the answer, by the field that asked for one.
struct FormatRow {
  std::string_view field;
  unsigned kinds;
};
constexpr FormatRow kFormats[] = {
    {"response_format", kAll},  {"grammar", kLlama},        {"json_schema", kLlama},
    {"guided_json", kVllm},     {"guided_regex", kVllm},    {"guided_choice", kVllm},
    {"guided_grammar", kVllm},  {"structured_outputs", kVllm},
};

// The names of those that the field has, but the only one where both are one wish.
bool is_other_name(const Field& field, unsigned kind) {
  const std::string_view name = field.name;
  return (name == "repetition_penalty" && (kind & (kLlama | kLmStudio)) != 0) ||
         (name == "repeat_penalty" && (kind & (kLlama | kLmStudio)) == 0);
}

std::unexpected<Error> refuse(const BodyOptions& options, std::string_view what) {
  return fail(Code::kUnsupported,
              fmt::format("'{}' runs on a server ({}) that takes no '{}': leave it out, or choose a "
                          "model that Hearth runs itself",
                          options.model, server_kind_name(options.kind), what));
}

Json call_of(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

Json message_of(const Message& message, unsigned kind) {
  Json json = {{"role", role_name(message.role)}, {"content", message.content}};
  if (!message.name.empty()) json["name"] = message.name;
  if (message.role == Role::kTool) json["tool_call_id"] = message.tool_call_id;
  // Servers that lay out the conversation by the model's own template; others refuse it.
  if (!message.reasoning.empty() && (kind & (kLlama | kVllm)) != 0) {
    json["reasoning_content"] = message.reasoning;
  }
  for (const ToolCall& call : message.tool_calls) json["tool_calls"].push_back(call_of(call));
  if (!message.tool_calls.empty() && message.content.empty()) json["content"] = nullptr;
  return json;
}

void add_tools(const ChatRequest& request, Json& body) {
  if (request.tools.empty()) return;
  for (const Tool& tool : request.tools) {
    body["tools"].push_back(
        {{"type", "function"}, {"function", Json::parse(tool.definition, nullptr, false)}});
  }
  constexpr std::array kChoices = {"auto", "none", "required"};
  if (!request.tool_name.empty()) {
    body["tool_choice"] = {{"type", "function"}, {"function", {{"name", request.tool_name}}}};
  } else if (request.tool_choice != ToolChoice::kAuto) {
    body["tool_choice"] = kChoices[static_cast<std::size_t>(request.tool_choice)];
  }
}

Result<> add_format(const ChatRequest& request, const BodyOptions& options, Json& body) {
  if (request.grammar == nullptr) return {};
  for (const FormatRow& row : kFormats) {
    if (row.field != request.format_field) continue;
    if ((row.kinds & bit(options.kind)) == 0) break;
    body[request.format_field] = Json::parse(request.format_json, nullptr, false);
    return {};
  }
  return refuse(options, request.format_field.empty() ? "grammar" : request.format_field);
}

Result<> add_fields(const ChatRequest& request, const BodyOptions& options, ChatBody& made,
                    Json& body) {
  for (const Field& field : kFields) {
    if (!field.is_set(request) || is_other_name(field, bit(options.kind))) continue;
    if ((field.kinds & bit(options.kind)) != 0) {
      body[field.name] = field.value(request);
    } else if (field.is_essential) {
      return refuse(options, field.name);
    } else {
      made.left_out += fmt::format("{}{}", made.left_out.empty() ? "" : ", ", field.name);
    }
  }
  return {};
}

}  // namespace

Result<ChatBody> make_chat_body(const ChatRequest& request, const BodyOptions& options) {
  if (!request.adapters.empty()) return refuse(options, "lora");
  ChatBody made;
  Json body = {{"model", options.model}};
  if (request.messages.empty()) {
    body["prompt"] = request.prompt;
  } else {
    for (const Message& message : request.messages) {
      body["messages"].push_back(message_of(message, bit(options.kind)));
    }
  }
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  made.max_tokens = request.max_tokens != 0 ? request.max_tokens : options.max_tokens_default;
  if (made.max_tokens != 0) body[std::string(options.max_tokens_key)] = made.max_tokens;
  HEARTH_TRY_VOID(add_fields(request, options, made, body));
  if (!request.sampling.logit_bias.empty()) {
    if (options.kind == ServerKind::kOllama) return refuse(options, "logit_bias");
    for (const auto& [token, bias] : request.sampling.logit_bias) {
      body["logit_bias"][fmt::format("{}", token)] = bias;
    }
  }
  if (options.keeps_nothing) body["store"] = false;
  if (options.asks_nobody) body["hearth"] = {{"advice", "never"}};
  add_tools(request, body);
  HEARTH_TRY_VOID(add_format(request, options, body));
  made.json = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return made;
}

}  // namespace hearth::hub

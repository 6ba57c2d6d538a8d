#include "hub/upstream/provider_body.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

namespace hearth::hub {
namespace {

using advisor::WireFormat;
using advisor::WireRequest;
using advisor::WireTurn;
using Json = nlohmann::ordered_json;
using R = const ChatRequest&;

// A wish that not every wire has a word for, and the bit of those that do; 0: none has.
struct Wish {
  const char* name;
  unsigned taken_by;
  bool is_essential;  // Without it the answer would be another one.
  bool (*is_set)(const ChatRequest&);
};

// clang-format off
constexpr Wish kWishes[] = {
    {"lora", 0, true, [](R r) { return !r.adapters.empty(); }},
    {"prompt", 0, true, [](R r) { return r.messages.empty(); }},
    {"n", 0, true, [](R r) { return r.n > 1; }},
    {"logit_bias", 0, true, [](R r) { return !r.sampling.logit_bias.empty(); }},
    {"stop", advisor::kTakesStop, true, [](R r) { return !r.stop.empty(); }},
    {"top_k", advisor::kTakesTopK, false, [](R r) { return r.sampling.top_k != 0; }},
    {"seed", advisor::kTakesSeed, false, [](R r) { return r.has_seed; }},
    {"frequency_penalty", 0, false, [](R r) { return r.sampling.frequency_penalty != 0; }},
    {"presence_penalty", 0, false, [](R r) { return r.sampling.presence_penalty != 0; }},
    {"repetition_penalty", 0, false, [](R r) { return r.sampling.repetition_penalty != 1; }},
    {"min_p", 0, false, [](R r) { return r.sampling.min_p > 0; }},
    {"typical_p", 0, false, [](R r) { return r.sampling.typical_p < 1; }},
    {"ignore_eos", 0, false, [](R r) { return r.ignore_eos; }},
    {"logprobs", 0, false, [](R r) { return r.wants_logprobs || r.n_top_logprobs > 0; }},
    {"chat_template_kwargs", 0, false, [](R r) { return !r.template_arguments.empty(); }},
};
// clang-format on

std::unexpected<Error> refuse(const WireFormat& wire, const BodyOptions& options, std::string_view what) {
  return fail(Code::kUnsupported,
              fmt::format("'{}' is asked by the wire '{}', which has no '{}': leave it out, or choose a model that "
                          "Hearth runs itself",
                          options.model, wire.name, what));
}

Result<std::string> left_out_of(const WireFormat& wire, const ChatRequest& request, const BodyOptions& options) {
  std::string names;
  for (const Wish& wish : kWishes) {
    if (!wish.is_set(request) || (wish.taken_by & wire.takes) != 0) continue;
    if (wish.is_essential) return refuse(wire, options, wish.name);
    names += fmt::format("{}{}", names.empty() ? "" : ", ", wish.name);
  }
  return names;
}

// The JSON Schema that the answer must fit; empty: any text.
Result<std::string> schema_of(const WireFormat& wire, const ChatRequest& request, const BodyOptions& options) {
  if (request.grammar == nullptr) return std::string();
  const Json format = Json::parse(request.format_json, nullptr, false);
  const bool is_schema = request.format_field == "response_format" && format.is_object() &&
                         format.value("type", "") == "json_schema" && (wire.takes & advisor::kTakesSchema) != 0;
  if (!is_schema) return refuse(wire, options, request.format_field.empty() ? "grammar" : request.format_field);
  return format.value(Json::json_pointer("/json_schema/schema"), Json::object()).dump();
}

WireTurn turn_of(const Message& message, const CarriedStates& carried) {
  constexpr std::array kRoles = {WireTurn::Role::kUser, WireTurn::Role::kUser, WireTurn::Role::kAssistant,
                                 WireTurn::Role::kTool};
  WireTurn turn{.role = kRoles[static_cast<std::size_t>(message.role)],
                .text = message.content,
                .call_id = message.tool_call_id};
  for (const ToolCall& call : message.tool_calls) {
    turn.calls.push_back({.id = call.id,
                          .name = call.name,
                          .arguments = call.arguments,
                          .carried = carried.find(call.id)});
  }
  return turn;
}

void add_messages(const ChatRequest& request, const CarriedStates& carried, WireRequest& wired) {
  for (const Message& message : request.messages) {
    if (message.role != Role::kSystem) {
      wired.turns.push_back(turn_of(message, carried));
      continue;
    }
    if (!wired.system.empty()) wired.system += "\n\n";
    wired.system += message.content;
  }
}

void add_tools(const ChatRequest& request, WireRequest& wired) {
  constexpr std::array kChoices = {advisor::WireToolChoice::kAuto, advisor::WireToolChoice::kNone,
                                   advisor::WireToolChoice::kRequired};
  for (const Tool& tool : request.tools) {
    const advisor::Json definition = advisor::parse_json(tool.definition);
    wired.tools.push_back({.name = tool.name,
                           .description = advisor::text_member(definition, "description"),
                           .parameters = tool.parameters});
  }
  wired.tool_choice = kChoices[static_cast<std::size_t>(request.tool_choice)];
  wired.tool_name = request.tool_name;
  wired.parallel_calls = request.parallel_tool_calls;
}

}  // namespace

Result<ChatBody> make_provider_body(const WireFormat& wire, const ChatRequest& request, const BodyOptions& options,
                                    const CarriedStates& carried) {
  ChatBody made;
  HEARTH_TRY(made.left_out, left_out_of(wire, request, options));
  made.max_tokens = request.max_tokens != 0 ? request.max_tokens : options.max_tokens_default;
  WireRequest wired{.model = options.model,
                    .max_tokens = made.max_tokens,
                    .top_k = static_cast<std::uint32_t>(request.sampling.top_k),
                    .stop = request.stop,
                    .reasoning_effort = request.reasoning_effort};
  HEARTH_TRY(wired.schema, schema_of(wire, request, options));
  add_messages(request, carried, wired);
  add_tools(request, wired);
  if (request.has_temperature) wired.temperature = request.sampling.temperature;
  if (request.sampling.top_p < 1) wired.top_p = request.sampling.top_p;
  if (request.has_seed) wired.seed = static_cast<std::int64_t>(request.sampling.seed & INT32_MAX);
  made.json = wire.body(wired);
  return made;
}

}  // namespace hearth::hub

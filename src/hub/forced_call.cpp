#include "hub/forced_call.h"

#include <nlohmann/json.hpp>

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;
using text::CallSyntax;

constexpr text::CallFormat kBareCall{
    .family = "forced", .syntax = CallSyntax::kJson, .may_be_bare = true};

Json call_schema(const Tool& tool, const text::CallFormat& calls, bool with_parameters) {
  Json parameters = {{"type", "object"}};
  if (with_parameters && !tool.parameters.empty()) {
    parameters = Json::parse(tool.parameters, nullptr, false);
  }
  const std::string name_key(calls.name_key), arguments_key(calls.arguments_key);
  return {{"type", "object"},
          {"properties", {{name_key, {{"const", tool.name}}}, {arguments_key, parameters}}},
          {"required", Json::array({name_key, arguments_key})},
          {"additionalProperties", false}};
}

Result<text::grammar::GrammarPtr> compile(const Json& schema) {
  return text::grammar::compile_json_schema(
      schema.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

bool must_call(const ChatRequest& request) {
  return request.tool_choice == ToolChoice::kRequired && !request.tools.empty();
}

Result<text::grammar::GrammarPtr> forced_call_grammar(const std::vector<Tool>& tools,
                                                      const text::CallFormat& calls) {
  if (tools.empty()) return fail(Code::kInvalidArgument, "no tool is there to be called");
  Json alternatives = Json::array();
  for (const Tool& tool : tools) {
    const Json schema = call_schema(tool, calls, true);
    const bool can_enforce = tool.parameters.empty() || compile(schema).has_value();
    alternatives.push_back(can_enforce ? schema : call_schema(tool, calls, false));
  }
  if (alternatives.size() == 1) return compile(alternatives[0]);
  return compile({{"anyOf", std::move(alternatives)}});
}

std::string forced_call_opening(const text::AnswerFormat& format, std::string_view text) {
  std::string opening;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (format.thinking != nullptr && text.ends_with(format.thinking->open)) {
    opening.append(format.thinking->close).append("\n\n");
  }
  const text::CallFormat& calls = *format.calls;
  if (format.has_channels()) return opening + "<|channel|>commentary json<|message|>";
  const bool is_object = calls.syntax == CallSyntax::kJson && !calls.is_list && !calls.may_be_bare;
  if (is_object) opening.append(calls.open).append(calls.open.ends_with('\n') ? "" : "\n");
  return opening;
}

text::AnswerFormat forced_call_format() { return {.calls = &kBareCall, .is_native = true}; }

}  // namespace hearth::hub

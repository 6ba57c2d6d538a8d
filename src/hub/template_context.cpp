#include "hub/template_context.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/digest.h"
#include "hub/forced_call.h"
#include "hub/prompt.h"

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kReservedVariables = std::to_array<std::string_view>(
    {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"});

// All texts of `json` fenced, keys included.
Json fenced(const Json& json, const ControlTextGuard& guard) {
  if (json.is_string()) return guard.fence(json.get_ref<const std::string&>());
  if (!json.is_structured()) return json;
  Json out = json.is_array() ? Json::array() : Json::object();
  for (auto item = json.begin(); item != json.end(); ++item) {
    if (json.is_array()) {
      out.push_back(fenced(*item, guard));
    } else {
      out[guard.fence(item.key())] = fenced(*item, guard);
    }
  }
  return out;
}

// Any id as nine letters and digits; equal ids stay equal.
std::string short_id(std::string_view id) {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  const bool fits = id.size() == kShortIdLength && std::ranges::all_of(id, [&](char c) {
                      return kDigits.find(c) != std::string_view::npos || (c >= 'A' && c <= 'Z');
                    });
  if (fits) return std::string(id);
  std::uint64_t bits = hash64(std::as_bytes(std::span(id)), 0);
  std::string out;
  for (std::size_t i = 0; i < kShortIdLength; ++i, bits /= kDigits.size()) {
    out.push_back(kDigits[bits % kDigits.size()]);
  }
  return out;
}

// Lays out the messages of one request.
class MessageWriter {
 public:
  explicit MessageWriter(const ReadyModel& ready)
      : traits_(ready.traits), format_(*ready.format.calls), guard_(ready.guard) {}

  Json write(const Message& message) const {
    if (message.role == Role::kTool && !traits_.takes_results) return result_in_words(message);
    Json json = {{"role", role_name(message.role)}, {"content", guard_.fence(message.content)}};
    if (!message.name.empty()) json["name"] = guard_.fence(message.name);
    if (!message.tool_call_id.empty()) json["tool_call_id"] = id(message.tool_call_id);
    add_reasoning(json, message);
    add_calls(json, message);
    return json;
  }

 private:
  std::string id(std::string_view text) const {
    return traits_.wants_short_ids ? short_id(text) : guard_.fence(text);
  }

  // gpt-oss's template calls it thinking, and refuses it beside a content.
  void add_reasoning(Json& json, const Message& message) const {
    if (message.reasoning.empty()) return;
    json["reasoning_content"] = guard_.fence(message.reasoning);
    if (message.content.empty()) json["thinking"] = json["reasoning_content"];
  }

  void add_calls(Json& json, const Message& message) const {
    if (message.tool_calls.empty()) return;
    if (!traits_.takes_calls) {
      std::string text = json["content"].get<std::string>();
      for (const ToolCall& call : message.tool_calls) {
        if (!text.empty()) text.push_back('\n');
        text += write_call(format_, guard_.fence(call.name), guard_.fence(call.arguments));
      }
      json["content"] = std::move(text);
      return;
    }
    if (traits_.wants_no_content && message.content.empty()) json["content"] = nullptr;
    for (const ToolCall& call : message.tool_calls) json["tool_calls"].push_back(call_json(call));
  }

  Json call_json(const ToolCall& call) const {
    return {{"id", id(call.id)},
            {"type", "function"},
            {"function", {{"name", guard_.fence(call.name)}, {"arguments", arguments(call)}}}};
  }

  // Templates expect an object where it is one; a few put the text into the prompt as it is.
  Json arguments(const ToolCall& call) const {
    const std::string_view text = call.arguments.empty() ? std::string_view("{}") : call.arguments;
    if (traits_.wants_text_arguments) return guard_.fence(text);
    const Json parsed = Json::parse(text, nullptr, false);
    if (parsed.is_discarded()) return guard_.fence(text);
    return fenced(parsed, guard_);
  }

  Json result_in_words(const Message& message) const {
    return {{"role", "user"},
            {"content", "<tool_response>\n" + guard_.fence(message.content) + "\n</tool_response>"}};
  }

  const TemplateTraits& traits_;
  const text::CallFormat& format_;
  const ControlTextGuard& guard_;
};

Json tool_json(const Tool& tool, const ControlTextGuard& guard) {
  return {{"type", "function"}, {"function", fenced(Json::parse(tool.definition, nullptr, false), guard)}};
}

std::string tools_in_words(const Json& tools, const text::CallFormat& format) {
  std::string text =
      "You can call functions. Each line here describes one:\n<tools>\n";
  for (const Json& tool : tools) {
    text += tool.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  text += "</tools>\nTo call one, answer with its name and its arguments as a JSON object, and nothing "
          "else:\n";
  return text + write_call(format, "NAME", R"({"ARGUMENT": "VALUE"})");
}

void prepend_system(Json& messages, const std::string& text) {
  if (!messages.empty() && messages[0]["role"] == "system") {
    const std::string own = messages[0]["content"].get<std::string>();
    messages[0]["content"] = own.empty() ? text : own + "\n\n" + text;
    return;
  }
  messages.insert(messages.begin(), Json{{"role", "system"}, {"content", text}});
}

std::string token_text(const text::Tokenizer& tokenizer, std::optional<text::TokenId> id) {
  return id ? std::string(tokenizer.token_text(*id)) : std::string();
}

Result<> add_template_arguments(Json& context, const ChatRequest& request,
                                const ControlTextGuard& guard) {
  // A grammar holds from the answer's first token on: no room to think.
  if (request.grammar != nullptr || must_call(request)) {
    context["enable_thinking"] = false;
  } else if (!request.reasoning_effort.empty()) {
    // Templates know an effort or a switch; no effort is the switch alone.
    context["enable_thinking"] = request.reasoning_effort != "none";
    if (request.reasoning_effort != "none") {
      context["reasoning_effort"] = guard.fence(request.reasoning_effort);
    }
  }
  if (request.template_arguments.empty()) return {};
  const Json arguments = Json::parse(request.template_arguments, nullptr, false);
  if (!arguments.is_object()) {
    return fail(Code::kInvalidArgument, "'chat_template_kwargs' must be a JSON object");
  }
  for (const auto& [key, value] : arguments.items()) {
    if (std::ranges::find(kReservedVariables, key) != kReservedVariables.end()) continue;
    context[key] = fenced(value, guard);
  }
  return {};
}

}  // namespace

std::vector<Tool> shown_tools(const ReadyModel& ready, const ChatRequest& request) {
  // A model that is too small to rework advice is too small for functions in words as well.
  const bool can_call =
      ready.traits.takes_tools || !ready.model->relays_advice() || must_call(request);
  if (request.tool_choice == ToolChoice::kNone || !can_call) return {};
  if (request.tool_name.empty()) return request.tools;
  std::vector<Tool> named;
  std::ranges::copy_if(request.tools, std::back_inserter(named),
                       [&](const Tool& tool) { return tool.name == request.tool_name; });
  return named;
}

Result<Json> template_context(const ReadyModel& ready, const ChatRequest& request,
                              const std::vector<Message>& messages) {
  const text::Tokenizer& tokenizer = ready.model->tokenizer();
  Json context = {{"messages", Json::array()},
                  {"add_generation_prompt", true},
                  {"bos_token", token_text(tokenizer, tokenizer.bos())},
                  {"eos_token", token_text(tokenizer, tokenizer.eos())}};
  const MessageWriter writer(ready);
  for (const Message& message : messages) context["messages"].push_back(writer.write(message));

  Json tools = Json::array();
  for (const Tool& tool : shown_tools(ready, request)) tools.push_back(tool_json(tool, ready.guard));
  if (!tools.empty() && !ready.traits.takes_tools) {
    prepend_system(context["messages"], tools_in_words(tools, *ready.format.calls));
  } else if (!tools.empty()) {
    context["tools"] = tools;
  }
  if (ready.format.calls->family == "Firefunction") {  // Variables that only its template knows.
    context["functions"] = tools.dump(2);
    context["datetime"] = fmt::format("{:%F}", fmt::gmtime(std::time(nullptr)));
  }
  HEARTH_TRY_VOID(add_template_arguments(context, request, ready.guard));
  return context;
}

}  // namespace hearth::hub

// OpenAI's chat completions, and what others made of them.
// Format: https://platform.openai.com/docs/api-reference/chat
#include "advisor/wire/formats.h"

namespace hearth::advisor {
namespace {

Body call_of(const WireCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

Body message_of(const WireTurn& turn) {
  if (turn.role == WireTurn::Role::kUser) return {{"role", "user"}, {"content", turn.text}};
  if (turn.role == WireTurn::Role::kTool) {
    return {{"role", "tool"}, {"tool_call_id", turn.call_id}, {"content", turn.text}};
  }
  Body message = {{"role", "assistant"}, {"content", turn.text}};
  if (turn.text.empty() && !turn.calls.empty()) message["content"] = nullptr;
  for (const WireCall& call : turn.calls) message["tool_calls"].push_back(call_of(call));
  return message;
}

void add_tools(const WireRequest& request, Body& body) {
  for (const WireTool& tool : request.tools) {
    body["tools"].push_back({{"type", "function"},
                             {"function",
                              {{"name", tool.name},
                               {"description", tool.description},
                               {"parameters", schema_of(tool.parameters)}}}});
  }
  if (request.tools.empty()) return;
  if (!request.tool_name.empty()) {
    body["tool_choice"] = {{"type", "function"}, {"function", {{"name", request.tool_name}}}};
  } else if (request.tool_choice != WireToolChoice::kAuto) {
    body["tool_choice"] = request.tool_choice == WireToolChoice::kNone ? "none" : "required";
  }
  if (!request.parallel_calls) body["parallel_tool_calls"] = false;
}

Body chat_of(const WireRequest& request, const char* max_tokens_key) {
  Body body = {{"model", request.model}, {"messages", Body::array()}};
  if (!request.system.empty()) body["messages"].push_back({{"role", "system"}, {"content", request.system}});
  for (const WireTurn& turn : request.turns) body["messages"].push_back(message_of(turn));
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  if (request.max_tokens != 0) body[max_tokens_key] = request.max_tokens;
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  if (request.seed) body["seed"] = *request.seed;
  if (!request.stop.empty()) body["stop"] = request.stop;
  if (!request.reasoning_effort.empty()) body["reasoning_effort"] = request.reasoning_effort;
  if (!request.schema.empty()) {
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "answer"}, {"schema", schema_of(request.schema)}, {"strict", true}}}};
  }
  add_tools(request, body);
  return body;
}

}  // namespace

std::string chat_body(const WireRequest& request) { return dump(chat_of(request, "max_tokens")); }

std::string openai_chat_body(const WireRequest& request) {
  Body body = chat_of(request, "max_completion_tokens");
  body["store"] = false;
  if (std::string key = prompt_cache_key(request); !key.empty()) body["prompt_cache_key"] = std::move(key);
  return dump(body);
}

// Another Hearth answers by itself: what it is unsure of is for this one to know.
std::string hearth_chat_body(const WireRequest& request) {
  Body body = chat_of(request, "max_tokens");
  body["store"] = false;
  body["hearth"] = {{"advice", "never"}};
  return dump(body);
}

void take_chat(const Json& event, bool is_whole, Answer& answer) {
  if (const Json& error = member(event, "error"); !error.is_null()) answer.fail(read_error(error));
  read_use(member(event, "usage"), answer.use());
  answer.set_model(text_member(event, "model"));
  const Json& choices = member(event, "choices");
  if (!choices.is_array() || choices.empty()) return;
  const Json& message = member(choices[0], is_whole ? "message" : "delta");
  answer.add_reasoning(member(message, "reasoning_content"));
  answer.add_text(member(message, "content"));
  const Json& calls = member(message, "tool_calls");
  for (std::size_t i = 0; calls.is_array() && i < calls.size(); ++i) {
    const Json& function = member(calls[i], "function");
    const std::int64_t index = count_member(calls[i], "index");
    const std::int64_t key = index >= 0 ? index : static_cast<std::int64_t>(i);
    answer.begin_call(key, text_member(calls[i], "id"), text_member(function, "name"));
    answer.add_arguments(key, member(function, "arguments"));
  }
  answer.finish(text_member(choices[0], "finish_reason"));
}

}  // namespace hearth::advisor

// OpenAI's responses.  Format: https://platform.openai.com/docs/api-reference/responses
//
// Nothing is stored there (`store: false`), so thinking that belongs to a call comes back encrypted and
// goes out again with the call.
#include <array>

#include "advisor/wire/formats.h"

namespace hearth::advisor {
namespace {

void add_assistant(const WireTurn& turn, Body& input) {
  if (!turn.text.empty()) input.push_back({{"role", "assistant"}, {"content", turn.text}});
  for (const WireCall& call : turn.calls) {
    if (Body thought = parse_object(call.carried); !thought.empty()) input.push_back(std::move(thought));
    input.push_back({{"type", "function_call"},
                     {"call_id", call.id},
                     {"name", call.name},
                     {"arguments", call.arguments}});
  }
}

Body input_of(const WireRequest& request) {
  Body input = Body::array();
  for (const WireTurn& turn : request.turns) {
    if (turn.role == WireTurn::Role::kUser) {
      input.push_back({{"role", "user"}, {"content", turn.text}});
    } else if (turn.role == WireTurn::Role::kAssistant) {
      add_assistant(turn, input);
    } else {
      input.push_back({{"type", "function_call_output"}, {"call_id", turn.call_id}, {"output", turn.text}});
    }
  }
  return input;
}

void add_tools(const WireRequest& request, Body& body) {
  for (const WireTool& tool : request.tools) {
    body["tools"].push_back({{"type", "function"},
                             {"name", tool.name},
                             {"description", tool.description},
                             {"parameters", schema_of(tool.parameters)},
                             {"strict", false}});
  }
  if (request.tools.empty()) return;
  if (!request.tool_name.empty()) {
    body["tool_choice"] = {{"type", "function"}, {"name", request.tool_name}};
  } else if (request.tool_choice != WireToolChoice::kAuto) {
    body["tool_choice"] = request.tool_choice == WireToolChoice::kNone ? "none" : "required";
  }
  if (!request.parallel_calls) body["parallel_tool_calls"] = false;
}

// Of `response.completed` and its kin, and of an answer that came whole.
void take_end(const Json& response, Answer& answer) {
  answer.set_model(text_member(response, "model"));
  if (const Json& usage = member(response, "usage"); usage.is_object()) {
    TokenUse& use = answer.use();
    const Json& input = member(usage, "input_tokens_details");
    use.prompt_tokens = count_member(usage, "input_tokens");
    use.completion_tokens = count_member(usage, "output_tokens");
    use.cached_tokens = count_member(input, "cached_tokens");
    use.cache_write_tokens = count_member(input, "cache_write_tokens");
    use.reasoning_tokens = count_member(member(usage, "output_tokens_details"), "reasoning_tokens");
  }
  const std::string status = text_member(response, "status");
  if (status == "completed") {
    answer.finish(answer.has_calls() ? "tool_calls" : "stop");
  } else if (status == "incomplete") {
    const std::string reason = text_member(member(response, "incomplete_details"), "reason");
    answer.finish(reason == "content_filter" ? "content_filter" : "length");
  } else if (status == "failed" || status == "cancelled") {
    const Json& error = member(response, "error");
    answer.fail(error.is_object() ? read_error(error) : ProviderError{.code = status});
  }
}

void take_item_end(std::int64_t key, const Json& item, Answer& answer) {
  const std::string type = text_member(item, "type");
  if (type == "function_call") answer.end_call(key, member(item, "arguments"));
  const Json& sealed = member(item, "encrypted_content");
  if (type != "reasoning" || !sealed.is_string()) return;
  // What goes back is this and nothing else of the item.
  answer.carry(-1, Json({{"type", "reasoning"}, {"summary", Json::array()}, {"encrypted_content", sealed}})
                       .dump(-1, ' ', false, Json::error_handler_t::replace));
}

void take_item(std::int64_t key, const Json& item, Answer& answer) {
  if (text_member(item, "type") != "function_call") return;
  answer.begin_call(key, text_member(item, "call_id"), text_member(item, "name"));
}

void take_whole(const Json& response, Answer& answer) {
  const Json& output = member(response, "output");
  for (std::size_t i = 0; output.is_array() && i < output.size(); ++i) {
    const Json& content = member(output[i], "content");
    for (std::size_t part = 0; content.is_array() && part < content.size(); ++part) {
      answer.add_text(member(content[part], "text"));
      answer.add_text(member(content[part], "refusal"));
    }
    take_item(static_cast<std::int64_t>(i), output[i], answer);
    take_item_end(static_cast<std::int64_t>(i), output[i], answer);
  }
  if (const Json& error = member(response, "error"); !error.is_null()) answer.fail(read_error(error));
  take_end(response, answer);
}

using Take = void (*)(const Json& event, Answer& answer);
struct EventRow {
  std::string_view type;
  Take take;
};
constexpr Take kText = [](const Json& event, Answer& answer) { answer.add_text(member(event, "delta")); };
constexpr Take kThinking = [](const Json& event, Answer& answer) {
  answer.add_reasoning(member(event, "delta"));
};
constexpr Take kEnd = [](const Json& event, Answer& answer) {
  take_end(member(event, "response"), answer);
  answer.done();
};
constexpr std::array kEvents = {
    EventRow{"response.output_text.delta", kText},
    EventRow{"response.refusal.delta", kText},
    EventRow{"response.reasoning_summary_text.delta", kThinking},
    EventRow{"response.reasoning_text.delta", kThinking},
    EventRow{"response.output_item.added",
             [](const Json& event, Answer& answer) {
               take_item(count_member(event, "output_index"), member(event, "item"), answer);
             }},
    EventRow{"response.function_call_arguments.delta",
             [](const Json& event, Answer& answer) {
               answer.add_arguments(count_member(event, "output_index"), member(event, "delta"));
             }},
    EventRow{"response.output_item.done",
             [](const Json& event, Answer& answer) {
               take_item_end(count_member(event, "output_index"), member(event, "item"), answer);
             }},
    EventRow{"response.completed", kEnd},
    EventRow{"response.incomplete", kEnd},
    EventRow{"response.failed", kEnd},
    EventRow{"error", [](const Json& event, Answer& answer) {
               const Json& inner = member(event, "error");
               ProviderError error = read_error(inner.is_object() ? inner : event);
               if (error.type == "error") error.type.clear();
               if (!error.is_set()) error.message = "an error without words";
               answer.fail(std::move(error));
             }},
};

}  // namespace

std::string responses_body(const WireRequest& request) {
  Body body = {{"model", request.model}};
  if (!request.system.empty()) body["instructions"] = request.system;
  body["input"] = input_of(request);
  body["stream"] = true;
  body["store"] = false;
  if (request.max_tokens != 0) body["max_output_tokens"] = request.max_tokens;
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  if (!request.reasoning_effort.empty()) {
    body["reasoning"] = {{"effort", request.reasoning_effort}};
    body["include"] = Body::array({"reasoning.encrypted_content"});
  }
  if (!request.schema.empty()) {
    body["text"]["format"] = {
        {"type", "json_schema"}, {"name", "answer"}, {"schema", schema_of(request.schema)}, {"strict", true}};
  }
  add_tools(request, body);
  if (std::string key = prompt_cache_key(request); !key.empty()) body["prompt_cache_key"] = std::move(key);
  return dump(body);
}

void take_response(const Json& event, bool is_whole, Answer& answer) {
  if (is_whole) return take_whole(event, answer);
  const std::string type = text_member(event, "type");
  for (const EventRow& row : kEvents) {
    if (row.type == type) return row.take(event, answer);
  }
  // Errors of what stands between us and them have a form of their own.
  if (const Json& error = member(event, "error"); !error.is_null()) answer.fail(read_error(error));
}

}  // namespace hearth::advisor

// Anthropic's messages.  Format: https://platform.claude.com/docs/en/api/messages
//
// Caching costs a quarter more for what is written and a tenth for what is read, so a prefix is marked
// only where it is long enough to be cached at all and likely to come again: in a conversation that has
// answers already, or one with tools.
#include <array>
#include <utility>

#include "advisor/wire/formats.h"

namespace hearth::advisor {
namespace {

constexpr std::string_view kVersion = "2023-06-01";
constexpr std::uint32_t kMaxTokensDefault = 4'096;  // The field must be there.
// The largest of the models' smallest cached prefixes is 4'096 tokens; at four bytes a token.
constexpr std::size_t kCachedBytesMin = 16'384;

const Body& cache_mark() {
  static const Body kMark = {{"type", "ephemeral"}};
  return kMark;
}

Body text_block(const std::string& text) { return {{"type", "text"}, {"text", text}}; }

Body assistant_blocks(const WireTurn& turn) {
  Body blocks = Body::array();
  // Thinking goes first, and unchanged: it is signed.
  if (!turn.calls.empty()) {
    Body thoughts = Body::parse(turn.calls[0].carried, nullptr, false);
    if (thoughts.is_array()) blocks = std::move(thoughts);
  }
  if (!turn.text.empty()) blocks.push_back(text_block(turn.text));
  for (const WireCall& call : turn.calls) {
    blocks.push_back({{"type", "tool_use"},
                      {"id", call.id},
                      {"name", call.name},
                      {"input", parse_object(call.arguments)}});
  }
  return blocks;
}

Body blocks_of(const WireTurn& turn) {
  if (turn.role == WireTurn::Role::kAssistant) return assistant_blocks(turn);
  Body blocks = Body::array();
  if (turn.role == WireTurn::Role::kTool) {
    blocks.push_back({{"type", "tool_result"}, {"tool_use_id", turn.call_id}, {"content", turn.text}});
  } else if (!turn.text.empty()) {
    blocks.push_back(text_block(turn.text));
  }
  return blocks;
}

// Turns of one side in a row are one message; empty blocks are refused there.
Body messages_of(const WireRequest& request) {
  Body messages = Body::array();
  for (const WireTurn& turn : request.turns) {
    const char* const role = turn.role == WireTurn::Role::kAssistant ? "assistant" : "user";
    Body blocks = blocks_of(turn);
    if (blocks.empty()) continue;
    if (messages.empty() || messages.back()["role"] != role) {
      messages.push_back({{"role", role}, {"content", Body::array()}});
    }
    for (Body& block : blocks) messages.back()["content"].push_back(std::move(block));
  }
  return messages;
}

void add_tools(const WireRequest& request, Body& body) {
  for (const WireTool& tool : request.tools) {
    Body made = {{"name", tool.name}, {"input_schema", schema_of(tool.parameters)}};
    if (!tool.description.empty()) made["description"] = tool.description;
    body["tools"].push_back(std::move(made));
  }
  if (request.tools.empty()) return;
  constexpr std::array kChoices = {"auto", "none", "any"};
  Body choice = {{"type", kChoices[static_cast<std::size_t>(request.tool_choice)]}};
  if (!request.tool_name.empty()) choice = {{"type", "tool"}, {"name", request.tool_name}};
  if (!request.parallel_calls && choice["type"] != "none") choice["disable_parallel_tool_use"] = true;
  const bool is_said = choice["type"] != "auto" || choice.size() > 1;
  if (is_said) body["tool_choice"] = std::move(choice);
}

void mark_prefixes(const WireRequest& request, Body& body) {
  std::size_t n_bytes = prefix_bytes(request);
  bool is_going_on = false;
  for (const WireTurn& turn : request.turns) {
    n_bytes += turn.text.size();
    is_going_on |= turn.role == WireTurn::Role::kAssistant;
  }
  if (!is_going_on && request.tools.empty()) return;
  if (prefix_bytes(request) >= kCachedBytesMin) {
    Body& last = request.system.empty() ? body["tools"].back() : body["system"].back();
    last["cache_control"] = cache_mark();
  }
  if (n_bytes < kCachedBytesMin || body["messages"].empty()) return;
  body["messages"].back()["content"].back()["cache_control"] = cache_mark();
}

void add_thinking(const WireRequest& request, Body& body) {
  const std::string& effort = request.reasoning_effort;
  if (effort.empty()) return;
  if (effort == "none") {
    body["thinking"] = {{"type", "disabled"}};
    return;
  }
  body["thinking"] = {{"type", "adaptive"}};
  body["output_config"]["effort"] = effort == "minimal" ? "low" : effort;
}

// ---- Answers -------------------------------------------------------------------------------------

constexpr std::array kFinishWords = {
    FinishWord{"end_turn", "stop"},
    FinishWord{"stop_sequence", "stop"},
    FinishWord{"pause_turn", "stop"},
    FinishWord{"max_tokens", "length"},
    FinishWord{"model_context_window_exceeded", "length"},
    FinishWord{"tool_use", "tool_calls"},
    FinishWord{"refusal", "content_filter"},
};

// Input is told in parts that add up.  Output is cumulative, and only the end's is the whole.
void take_use(const Json& usage, bool is_end, TokenUse& use) {
  const auto update = [&](const Json& object, const char* key, std::int64_t& place) {
    if (const std::int64_t n = count_member(object, key); n >= 0) place = n;
  };
  const auto known = [](std::int64_t n) { return n > 0 ? n : 0; };
  std::int64_t input = use.prompt_tokens - known(use.cached_tokens) - known(use.cache_write_tokens);
  if (use.prompt_tokens < 0) input = -1;
  update(usage, "input_tokens", input);
  update(usage, "cache_read_input_tokens", use.cached_tokens);
  update(usage, "cache_creation_input_tokens", use.cache_write_tokens);
  update(member(usage, "cache_creation"), "ephemeral_1h_input_tokens", use.kept_write_tokens);
  if (input >= 0) use.prompt_tokens = input + known(use.cached_tokens) + known(use.cache_write_tokens);
  if (!is_end) return;
  update(usage, "output_tokens", use.completion_tokens);
  update(member(usage, "output_tokens_details"), "thinking_tokens", use.reasoning_tokens);
}

// Keeps a block of thinking for the call that follows it.
void keep_thought(Json block, Answer& answer) {
  Json thoughts = Json::parse(answer.carried_next(), nullptr, false);
  if (!thoughts.is_array()) thoughts = Json::array();
  thoughts.push_back(std::move(block));
  answer.carry(-1, thoughts.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void take_block(std::int64_t index, const Json& block, Answer& answer) {
  const std::string type = text_member(block, "type");
  if (type == "text") answer.add_text(member(block, "text"));
  if (type == "tool_use") answer.begin_call(index, text_member(block, "id"), text_member(block, "name"));
  if (type == "redacted_thinking") {
    keep_thought({{"type", "redacted_thinking"}, {"data", text_member(block, "data")}}, answer);
  }
  if (type != "thinking") return;
  answer.add_reasoning(member(block, "thinking"));
  answer.thought() = {.key = index,
                      .text = text_member(block, "thinking"),
                      .signature = text_member(block, "signature")};
}

void take_block_end(std::int64_t index, const Json& block, Answer& answer) {
  Answer::Thought& thought = answer.thought();
  if (thought.key == index && index >= 0) {
    keep_thought({{"type", "thinking"}, {"thinking", thought.text}, {"signature", thought.signature}}, answer);
    thought = {};
  }
  answer.end_call(index, member(block, "input"));
}

void take_delta(std::int64_t index, const Json& delta, Answer& answer) {
  answer.add_text(member(delta, "text"));
  answer.add_reasoning(member(delta, "thinking"));
  answer.add_arguments(index, member(delta, "partial_json"));
  answer.grow_thought(index, text_member(delta, "thinking"), text_member(delta, "signature"));
}

void take_end(const Json& delta, const Json& usage, Answer& answer) {
  answer.finish(finish_word(kFinishWords, text_member(delta, "stop_reason")));
  take_use(usage, true, answer.use());
}

void take_whole(const Json& message, Answer& answer) {
  answer.set_model(text_member(message, "model"));
  const Json& content = member(message, "content");
  for (std::size_t i = 0; content.is_array() && i < content.size(); ++i) {
    take_block(static_cast<std::int64_t>(i), content[i], answer);
    take_block_end(static_cast<std::int64_t>(i), content[i], answer);
  }
  take_end(message, member(message, "usage"), answer);
}

using Take = void (*)(const Json& event, Answer& answer);
struct EventRow {
  std::string_view type;
  Take take;
};
constexpr std::array kEvents = {
    EventRow{"message_start",
             [](const Json& event, Answer& answer) {
               const Json& message = member(event, "message");
               answer.set_model(text_member(message, "model"));
               take_use(member(message, "usage"), false, answer.use());
             }},
    EventRow{"content_block_start",
             [](const Json& event, Answer& answer) {
               take_block(count_member(event, "index"), member(event, "content_block"), answer);
             }},
    EventRow{"content_block_delta",
             [](const Json& event, Answer& answer) {
               take_delta(count_member(event, "index"), member(event, "delta"), answer);
             }},
    EventRow{"content_block_stop",
             [](const Json& event, Answer& answer) {
               take_block_end(count_member(event, "index"), Json(), answer);
             }},
    EventRow{"message_delta",
             [](const Json& event, Answer& answer) {
               take_end(member(event, "delta"), member(event, "usage"), answer);
             }},
    EventRow{"message_stop", [](const Json&, Answer& answer) { answer.done(); }},
    EventRow{"message", [](const Json& event, Answer& answer) { take_whole(event, answer); }},
};

}  // namespace

void add_anthropic_headers(const std::string& key, std::vector<net::HttpHeader>& headers) {
  headers.push_back({"anthropic-version", std::string(kVersion)});
  if (!key.empty()) headers.push_back({"x-api-key", key, true});
}

std::string anthropic_body(const WireRequest& request) {
  Body body = {{"model", request.model},
               {"max_tokens", request.max_tokens != 0 ? request.max_tokens : kMaxTokensDefault}};
  if (!request.system.empty()) body["system"] = Body::array({text_block(request.system)});
  body["messages"] = messages_of(request);
  body["stream"] = true;
  if (request.temperature) body["temperature"] = *request.temperature;
  if (request.top_p) body["top_p"] = *request.top_p;
  if (request.top_k != 0) body["top_k"] = request.top_k;
  if (!request.stop.empty()) body["stop_sequences"] = request.stop;
  add_thinking(request, body);
  if (!request.schema.empty()) {
    body["output_config"]["format"] = {{"type", "json_schema"}, {"schema", schema_of(request.schema)}};
  }
  add_tools(request, body);
  mark_prefixes(request, body);
  return dump(body);
}

void take_message(const Json& event, bool, Answer& answer) {
  const std::string type = text_member(event, "type");
  for (const EventRow& row : kEvents) {
    if (row.type == type) return row.take(event, answer);
  }
  if (const Json& error = member(event, "error"); !error.is_null()) answer.fail(read_error(error));
}

}  // namespace hearth::advisor

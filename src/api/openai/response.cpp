#include "api/openai/response.h"

#include <fmt/format.h>

#include <cmath>

#include "api/json_writer.h"
#include "api/logprobs.h"
#include "hub/receipt_json.h"

namespace hearth::api::openai {
namespace {

void write_usage(JsonWriter& json, const hub::Usage& usage) {
  json.begin_object();
  json.key("prompt_tokens").value(usage.prompt_tokens);
  json.key("completion_tokens").value(usage.completion_tokens);
  json.key("total_tokens").value(std::uint64_t{usage.prompt_tokens} + usage.completion_tokens);
  json.key("prompt_tokens_details").begin_object();
  json.key("cached_tokens").value(usage.cached_tokens).end_object();
  json.key("completion_tokens_details").begin_object();
  json.key("reasoning_tokens").value(0).end_object();
  json.end_object();
}

// ---- Log-probabilities, in both of the API's shapes ----

// {"content":[{token, logprob, bytes, top_logprobs}], "refusal":null}
void write_chat_logprobs(JsonWriter& json, std::span<const engine::TokenEvent> tokens) {
  json.begin_object().key("content");
  api::write_logprobs(json, tokens);
  json.key("refusal").null().end_object();
}

// {"tokens":[], "token_logprobs":[], "top_logprobs":[{}], "text_offset":[]}
void write_completion_logprobs(JsonWriter& json, std::span<const engine::TokenEvent> tokens,
                               std::size_t text_offset) {
  json.begin_object().key("tokens").begin_array();
  for (const auto& event : tokens) json.value(event.token.bytes);
  json.end_array().key("token_logprobs").begin_array();
  for (const auto& event : tokens) json.value(finite_logprob(event.token.logprob));
  json.end_array().key("top_logprobs").begin_array();
  for (const auto& event : tokens) {
    json.begin_object();
    for (const auto& other : event.top) json.key(other.bytes).value(finite_logprob(other.logprob));
    json.end_object();
  }
  json.end_array().key("text_offset").begin_array();
  for (const auto& event : tokens) {
    json.value(text_offset);
    text_offset += event.token.bytes.size();
  }
  json.end_array().end_object();
}

void write_logprobs(JsonWriter& json, const AnswerHead& head,
                    std::span<const engine::TokenEvent> tokens, std::size_t text_offset) {
  json.key("logprobs");
  if (!head.logprobs) {
    json.null();
  } else if (head.endpoint == Endpoint::kChat) {
    write_chat_logprobs(json, tokens);
  } else {
    write_completion_logprobs(json, tokens, text_offset);
  }
}

// A piece without a token of its own (held-back text, a hub's note) has none to report.
bool has_token(const engine::TokenEvent& event) { return !event.token.bytes.empty(); }

const char* object_name(Endpoint endpoint, bool chunk) {
  if (endpoint == Endpoint::kCompletion) return "text_completion";
  return chunk ? "chat.completion.chunk" : "chat.completion";
}

void write_head(JsonWriter& json, const AnswerHead& head, bool chunk) {
  json.key("id").value(head.id);
  json.key("object").value(object_name(head.endpoint, chunk));
  json.key("created").value(head.created_unix_s);
  json.key("model").value(head.model);
}

void write_tool_call(JsonWriter& json, const hub::ToolCall& call) {
  json.begin_object().key("id").value(call.id).key("type").value("function");
  json.key("function").begin_object();
  json.key("name").value(call.name).key("arguments").value(call.arguments);
  json.end_object().end_object();
}

void write_message(JsonWriter& json, const Choice& choice) {
  json.begin_object().key("role").value("assistant").key("content");
  // A call without words has no content at all.
  choice.tool_calls.empty() ? json.value(choice.text) : json.value_or_null(choice.text);
  json.key("refusal").null();
  if (!choice.reasoning.empty()) json.key("reasoning_content").value(choice.reasoning);
  if (!choice.tool_calls.empty()) {
    json.key("tool_calls").begin_array();
    for (const hub::ToolCall& call : choice.tool_calls) write_tool_call(json, call);
    json.end_array();
  }
  json.end_object();
}

void write_choice(JsonWriter& json, const AnswerHead& head, std::uint32_t index, const Choice& choice) {
  json.begin_object().key("index").value(index);
  if (head.endpoint == Endpoint::kChat) {
    json.key("message");
    write_message(json, choice);
  } else {
    json.key("text").value(choice.text);
  }
  write_logprobs(json, head, choice.tokens, 0);
  json.key("finish_reason").value(finish_reason_name(choice.end.reason, !choice.tool_calls.empty())).end_object();
}

void write_model(JsonWriter& json, const hub::ModelEntry& model, std::int64_t created_unix_s) {
  json.begin_object();
  json.key("id").value(model.name);
  json.key("object").value("model");
  json.key("created").value(created_unix_s);
  json.key("owned_by").value(model.upstream.empty() ? "hearth" : model.upstream);
  json.key("hearth").begin_object();
  json.key("source").value_or_null(model.source);
  json.key("architecture").value_or_null(model.architecture);
  json.key("quantization").value_or_null(model.quantization);
  json.key("bytes").value(model.bytes);
  json.key("context_tokens").value(model.n_context);
  json.key("loaded").value(model.loaded);
  if (!model.place.empty()) {
    json.key("place").value(model.place);
    json.key("leaves_this_machine").value(model.is_egress);
  }
  if (!model.adapter.empty()) json.key("adapter").value(model.adapter);
  if (model.kv_bytes_per_token > 0) {
    json.key("kv_bytes_per_token").value(model.kv_bytes_per_token);
  }
  json.end_object().end_object();
}

}  // namespace

const char* finish_reason_name(engine::FinishReason reason, bool has_tool_calls) {
  if (reason != engine::FinishReason::kStop) return "length";
  return has_tool_calls ? "tool_calls" : "stop";
}

std::string render_answer(const AnswerHead& head, std::span<const Choice> choices,
                          const hub::Usage& usage, const hub::Receipt& receipt) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_head(json, head, false);
  json.key("choices").begin_array();
  for (std::uint32_t i = 0; i < choices.size(); ++i) write_choice(json, head, i, choices[i]);
  json.end_array().key("usage");
  write_usage(json, usage);
  json.key("hearth");
  json.raw(hub::receipt_to_json(receipt));
  json.end_object();
  return out;
}

// ---- Chunks ----

ChunkRenderer::ChunkRenderer(const AnswerHead& head) : head_(head) {
  prefix_ = "data: ";
  JsonWriter json(prefix_);
  json.begin_object();
  write_head(json, head_, true);
  if (head_.include_usage) json.key("usage").null();
}

void ChunkRenderer::role(std::string& out, std::uint32_t choice) const {
  if (head_.endpoint != Endpoint::kChat) return;
  out += prefix_;
  fmt::format_to(std::back_inserter(out),
                 R"(,"choices":[{{"index":{},"delta":{{"role":"assistant","content":""}},)"
                 R"("logprobs":null,"finish_reason":null}}]}})" "\n\n", choice);
}

void ChunkRenderer::text(std::string& out, std::uint32_t choice, std::string_view text,
                         const engine::TokenEvent& token, std::size_t text_offset) const {
  const bool report = head_.logprobs && has_token(token);
  if (text.empty() && !report) return;  // Held back; nothing to say.
  const bool chat = head_.endpoint == Endpoint::kChat;
  out += prefix_;
  fmt::format_to(std::back_inserter(out), R"(,"choices":[{{"index":{},)", choice);
  out += chat ? R"("delta":{"content":)" : R"("text":)";
  append_json_string(out, text);
  out += chat ? "},\"logprobs\":" : ",\"logprobs\":";
  if (report) {
    JsonWriter json(out);
    if (chat) {
      write_chat_logprobs(json, {&token, 1});
    } else {
      write_completion_logprobs(json, {&token, 1}, text_offset);
    }
  } else {
    out += "null";
  }
  out += ",\"finish_reason\":null}]}\n\n";
}

void ChunkRenderer::begin_delta(std::string& out, std::uint32_t choice) const {
  out += prefix_;
  fmt::format_to(std::back_inserter(out), R"(,"choices":[{{"index":{},"delta":)", choice);
}

void ChunkRenderer::end_delta(std::string& out) {
  out += ",\"logprobs\":null,\"finish_reason\":null}]}\n\n";
}

void ChunkRenderer::reasoning(std::string& out, std::uint32_t choice, std::string_view text) const {
  begin_delta(out, choice);
  JsonWriter(out).begin_object().key("reasoning_content").value(text).end_object();
  end_delta(out);
}

// Only a call's first piece has its id, type and name.
void ChunkRenderer::tool_call(std::string& out, std::uint32_t choice,
                              const hub::ToolCallPiece& piece) const {
  begin_delta(out, choice);
  JsonWriter json(out);
  json.begin_object().key("tool_calls").begin_array().begin_object();
  json.key("index").value(piece.index);
  if (!piece.id.empty()) json.key("id").value(piece.id).key("type").value("function");
  json.key("function").begin_object();
  if (!piece.name.empty()) json.key("name").value(piece.name);
  json.key("arguments").value(piece.arguments);
  json.end_object().end_object().end_array().end_object();
  end_delta(out);
}

void ChunkRenderer::finish(std::string& out, std::uint32_t choice, engine::FinishReason reason,
                           bool has_tool_calls, const hub::Receipt* receipt) const {
  out += prefix_;
  fmt::format_to(std::back_inserter(out),
                 R"(,"choices":[{{"index":{},{},"logprobs":null,"finish_reason":"{}"}}])", choice,
                 head_.endpoint == Endpoint::kChat ? R"("delta":{})" : R"("text":"")",
                 finish_reason_name(reason, has_tool_calls));
  if (receipt != nullptr) {
    out += ",\"hearth\":";
    JsonWriter json(out);
    json.raw(hub::receipt_to_json(*receipt));
  }
  out += "}\n\n";
}

void ChunkRenderer::usage(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) const {
  out += "data: ";
  JsonWriter json(out);
  json.begin_object();
  write_head(json, head_, true);
  json.key("choices").begin_array().end_array().key("usage");
  write_usage(json, usage);
  json.key("hearth");
  json.raw(hub::receipt_to_json(receipt));
  json.end_object();
  out += "\n\n";
}

void ChunkRenderer::error(std::string& out, const ApiError& error) {
  out.append("data: ").append(render_error(error)).append("\n\n");
}

void ChunkRenderer::done(std::string& out) { out += "data: [DONE]\n\n"; }

// ---- Models ----

std::string render_models(std::span<const hub::ModelEntry> models, std::int64_t created_unix_s) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("object").value("list").key("data").begin_array();
  for (const hub::ModelEntry& model : models) write_model(json, model, created_unix_s);
  json.end_array().end_object();
  return out;
}

std::string render_model(const hub::ModelEntry& model, std::int64_t created_unix_s) {
  std::string out;
  JsonWriter json(out);
  write_model(json, model, created_unix_s);
  return out;
}

}  // namespace hearth::api::openai

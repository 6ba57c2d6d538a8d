#include "api/ollama/chat_writer.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "api/json_writer.h"
#include "api/logprobs.h"
#include "base/clock.h"
#include "hub/receipt_json.h"

namespace hearth::api::ollama {
namespace {

constexpr double kNsPerMs = 1e6;

const char* done_reason(const hub::ChoiceEnd& end) {
  return end.reason == engine::FinishReason::kStop ? "stop" : "length";
}

void write_calls(JsonWriter& json, std::span<const hub::ToolCall> calls) {
  json.key("tool_calls").begin_array();
  std::size_t i = 0;
  for (const hub::ToolCall& call : calls) {
    json.begin_object().key("id").value(call.id).key("function").begin_object();
    json.key("index").value(i++).key("name").value(call.name);
    json.key("arguments").raw(arguments_object(call.arguments)).end_object().end_object();
  }
  json.end_array();
}

std::int64_t ns(double ms) { return static_cast<std::int64_t>(std::max(ms, 0.0) * kNsPerMs); }

// The times of an answer: ready_ms is what Ollama calls loading.
void write_end(JsonWriter& json, const char* reason, const hub::Usage& usage, const hub::Receipt& receipt) {
  const double decode_ms =
      receipt.tokens_per_second > 0 ? usage.completion_tokens * 1000.0 / receipt.tokens_per_second : 0;
  json.key("done").value(true).key("done_reason").value(reason);
  json.key("total_duration").value(ns(receipt.total_ms));
  json.key("load_duration").value(ns(receipt.ready_ms));
  json.key("prompt_eval_count").value(usage.prompt_tokens);
  json.key("prompt_eval_duration").value(ns(receipt.first_token_ms - receipt.ready_ms));
  json.key("eval_count").value(usage.completion_tokens);
  json.key("eval_duration").value(ns(decode_ms));
  json.key("hearth").raw(hub::receipt_to_json(receipt));
}

// What a line, or the whole answer, says.
struct Said {
  std::string_view text, thinking;
  std::span<const hub::ToolCall> calls;
  std::span<const engine::TokenEvent> tokens;
};

class ChatWriter final : public AnswerWriter {
 public:
  ChatWriter(const AnswerMark& mark, Asked asked) : asked_(std::move(asked)), created_unix_us_(mark.created_unix_us) {}

  const char* content_type() const override { return "application/x-ndjson"; }
  bool wants_tokens() const override { return asked_.has_logprobs; }

  std::string whole(std::span<const Choice> choices, const hub::Usage& usage,
                    const hub::Receipt& receipt) const override {
    const Choice& choice = choices[0];
    std::string out;
    JsonWriter json(out);
    write_head(json, {choice.text, choice.reasoning, choice.tool_calls, choice.tokens}, created_unix_us_);
    write_end(json, asked_.only_loads ? "load" : done_reason(choice.end), usage, receipt);
    json.end_object();
    return out;
  }

  void begin(std::string&) override {}
  void text(std::string& out, std::uint32_t, std::string_view text, const engine::TokenEvent& token) override {
    const bool reports = asked_.has_logprobs && !token.token.bytes.empty();
    if (text.empty() && !reports) return;  // Held back; nothing to say.
    send_calls(out);
    send(out, {.text = text, .tokens = std::span(&token, reports ? 1 : 0)});
  }
  void reasoning(std::string& out, std::uint32_t, std::string_view text) override {
    send(out, {.thinking = text});
  }
  // Calls go out whole.
  void tool_call(std::string& out, std::uint32_t, const hub::ToolCallPiece& piece) override {
    if (!piece.id.empty()) send_calls(out);
    if (piece.id.empty() && call_.empty()) return;
    if (call_.empty()) call_.push_back({.id = piece.id, .name = piece.name});
    call_[0].arguments += piece.arguments;
  }
  void status(std::string&, std::string_view) override {}  // Lines have no comments.
  void choice_end(std::string& out, std::uint32_t, const hub::ChoiceEnd& end) override {
    send_calls(out);
    end_ = end;
  }
  void finish(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) override {
    JsonWriter json(out);
    write_head(json, {}, Clock::system().now_unix_us());
    write_end(json, done_reason(end_), usage, receipt);
    json.end_object();
    out += '\n';
  }
  void error(std::string& out, const ApiError& error) override { out += ollama::render_error(error) + "\n"; }

 private:
  // Up to what is said; the object stays open.
  void write_head(JsonWriter& json, const Said& said, std::int64_t at_unix_us) const {
    json.begin_object().key("model").value(asked_.model).key("created_at").value(format_iso8601(at_unix_us));
    if (asked_.is_chat) {
      json.key("message").begin_object().key("role").value("assistant").key("content").value(said.text);
    } else {
      json.key("response").value(said.text);
    }
    if (!said.thinking.empty()) json.key("thinking").value(said.thinking);
    if (!said.calls.empty()) write_calls(json, said.calls);
    if (asked_.is_chat) json.end_object();
    if (said.tokens.empty()) return;
    json.key("logprobs");
    write_logprobs(json, said.tokens);
  }
  void send(std::string& out, const Said& said) const {
    JsonWriter json(out);
    write_head(json, said, Clock::system().now_unix_us());
    json.key("done").value(false).end_object();
    out += '\n';
  }
  void send_calls(std::string& out) {
    if (!call_.empty()) send(out, {.calls = call_});
    call_.clear();
  }

  const Asked asked_;
  const std::int64_t created_unix_us_;
  std::vector<hub::ToolCall> call_;  // None, or the one that comes.
  hub::ChoiceEnd end_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_chat_writer(const AnswerMark& mark, const Asked& asked) {
  return std::make_unique<ChatWriter>(mark, asked);
}

std::string render_error(const ApiError& error) {
  std::string out;
  JsonWriter(out).begin_object().key("error").value(error.message).end_object();
  return out;
}

}  // namespace hearth::api::ollama

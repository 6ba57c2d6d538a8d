#include "api/anthropic/messages_writer.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/json_writer.h"
#include "hub/receipt_json.h"
#include "net/sse.h"

namespace hearth::api::anthropic {
namespace {

constexpr const char* kSignature = "unsigned";

const char* stop_reason(const hub::ChoiceEnd& end, bool has_tool_calls) {
  if (end.reason != engine::FinishReason::kStop) return "max_tokens";
  if (has_tool_calls) return "tool_use";
  return end.stop_string.empty() ? "end_turn" : "stop_sequence";
}

void write_stop(JsonWriter& json, const hub::ChoiceEnd& end, bool has_tool_calls) {
  json.key("stop_reason").value(stop_reason(end, has_tool_calls));
  json.key("stop_sequence").value_or_null(end.stop_string);
}

// What was cached is counted apart from the rest, as the API does.
void write_usage(JsonWriter& json, const hub::Usage& usage) {
  json.begin_object();
  json.key("input_tokens").value(usage.prompt_tokens - std::min(usage.cached_tokens, usage.prompt_tokens));
  json.key("cache_creation_input_tokens").value(0);
  json.key("cache_read_input_tokens").value(usage.cached_tokens);
  json.key("output_tokens").value(usage.completion_tokens);
  json.end_object();
}

// The two blocks of the advisor tool: that it was asked, and what it said.
std::string asks_adviser(std::string_view id) {
  return fmt::format(R"({{"type":"server_tool_use","id":"{}","name":"advisor","input":{{}}}})", id);
}

std::string advice_came(std::string_view id, std::string_view text) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("type").value("advisor_tool_result").key("tool_use_id").value(id);
  json.key("content").begin_object().key("type").value("advisor_result").key("text").value(text);
  json.end_object().end_object();
  return out;
}

// Writes a message's blocks one after the other: only one is open at a time.
class MessagesWriter final : public AnswerWriter {
 public:
  MessagesWriter(const AnswerMark& mark, std::string model, bool shows_advice)
      : id_("msg_" + mark.id), model_(std::move(model)), shows_advice_(shows_advice) {}

  std::string whole(std::span<const Choice> choices, const hub::Usage& usage,
                    const hub::Receipt& receipt) const override;
  void begin(std::string& out) override;
  void text(std::string& out, std::uint32_t choice, std::string_view text,
            const engine::TokenEvent& token) override;
  void reasoning(std::string& out, std::uint32_t choice, std::string_view text) override;
  void tool_call(std::string& out, std::uint32_t choice, const hub::ToolCallPiece& piece) override;
  void advice(std::string& out, std::string_view text) override;
  void status(std::string& out, std::string_view text) override;
  void choice_end(std::string& out, std::uint32_t choice, const hub::ChoiceEnd& end) override;
  void finish(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) override;
  void error(std::string& out, const ApiError& error) override;

 private:
  enum class Block : std::uint8_t { kNone, kText, kThinking, kToolUse, kWhole };

  void write_head(JsonWriter& json) const;
  void open(std::string& out, Block block, std::string_view content);
  void close(std::string& out);
  void delta(std::string& out, const char* type, const char* member, std::string_view text);

  std::string advice_id(int number) const { return fmt::format("srvtoolu_{}{:02x}", id_.substr(4), number); }

  const std::string id_, model_;
  const bool shows_advice_;
  Block block_ = Block::kNone;
  int n_blocks_ = 0;  // The open one's index is one less.
  bool has_tool_calls_ = false;
  hub::ChoiceEnd end_;
};

void event(std::string& out, const char* name, std::string_view data) {
  net::append_sse_event(out, data, name);
}

void MessagesWriter::write_head(JsonWriter& json) const {
  json.key("id").value(id_).key("type").value("message").key("role").value("assistant");
  json.key("model").value(model_);
}

std::string MessagesWriter::whole(std::span<const Choice> choices, const hub::Usage& usage,
                                  const hub::Receipt& receipt) const {
  const Choice& choice = choices[0];
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_head(json);
  json.key("content").begin_array();
  for (int i = 0; shows_advice_ && i < static_cast<int>(choice.advice.size()); ++i) {
    json.raw(asks_adviser(advice_id(i))).raw(advice_came(advice_id(i), choice.advice[static_cast<std::size_t>(i)]));
  }
  if (!choice.reasoning.empty()) {
    json.begin_object().key("type").value("thinking").key("thinking").value(choice.reasoning);
    json.key("signature").value(kSignature).end_object();
  }
  if (!choice.text.empty() || choice.tool_calls.empty()) {
    json.begin_object().key("type").value("text").key("text").value(choice.text).end_object();
  }
  for (const hub::ToolCall& call : choice.tool_calls) {
    json.begin_object().key("type").value("tool_use").key("id").value(call.id);
    json.key("name").value(call.name).key("input").raw(arguments_object(call.arguments)).end_object();
  }
  json.end_array();
  write_stop(json, choice.end, !choice.tool_calls.empty());
  json.key("usage");
  write_usage(json, usage);
  json.key("hearth").raw(hub::receipt_to_json(receipt)).end_object();
  return out;
}

void MessagesWriter::begin(std::string& out) {
  std::string data;
  JsonWriter json(data);
  json.begin_object().key("type").value("message_start").key("message").begin_object();
  write_head(json);
  json.key("content").begin_array().end_array().key("stop_reason").null().key("stop_sequence").null();
  json.key("usage");
  write_usage(json, {});
  json.end_object().end_object();
  event(out, "message_start", data);
}

// `content`: the block's JSON as it starts.
void MessagesWriter::open(std::string& out, Block block, std::string_view content) {
  close(out);
  block_ = block;
  event(out, "content_block_start",
        fmt::format(R"({{"type":"content_block_start","index":{},"content_block":{}}})", n_blocks_++, content));
}

void MessagesWriter::close(std::string& out) {
  if (block_ == Block::kNone) return;
  if (block_ == Block::kThinking) delta(out, "signature_delta", "signature", kSignature);
  event(out, "content_block_stop",
        fmt::format(R"({{"type":"content_block_stop","index":{}}})", n_blocks_ - 1));
  block_ = Block::kNone;
}

void MessagesWriter::delta(std::string& out, const char* type, const char* member, std::string_view text) {
  std::string data;
  JsonWriter json(data);
  json.begin_object().key("type").value("content_block_delta").key("index").value(n_blocks_ - 1);
  json.key("delta").begin_object().key("type").value(type).key(member).value(text).end_object().end_object();
  event(out, "content_block_delta", data);
}

void MessagesWriter::text(std::string& out, std::uint32_t, std::string_view text, const engine::TokenEvent&) {
  if (text.empty()) return;  // Held back; nothing to say.
  if (block_ != Block::kText) open(out, Block::kText, R"({"type":"text","text":""})");
  delta(out, "text_delta", "text", text);
}

void MessagesWriter::reasoning(std::string& out, std::uint32_t, std::string_view text) {
  if (block_ != Block::kThinking) {
    open(out, Block::kThinking, R"({"type":"thinking","thinking":"","signature":""})");
  }
  delta(out, "thinking_delta", "thinking", text);
}

// A call's first piece has its id and name.
void MessagesWriter::tool_call(std::string& out, std::uint32_t, const hub::ToolCallPiece& piece) {
  has_tool_calls_ = true;
  if (!piece.id.empty() || block_ != Block::kToolUse) {
    std::string content;
    JsonWriter json(content);
    json.begin_object().key("type").value("tool_use").key("id").value(piece.id);
    json.key("name").value(piece.name).key("input").begin_object().end_object().end_object();
    open(out, Block::kToolUse, content);
  }
  if (!piece.arguments.empty()) delta(out, "input_json_delta", "partial_json", piece.arguments);
}

void MessagesWriter::advice(std::string& out, std::string_view text) {
  if (!shows_advice_) return;
  const std::string id = advice_id(n_blocks_);
  open(out, Block::kWhole, asks_adviser(id));
  open(out, Block::kWhole, advice_came(id, text));
  close(out);
}

void MessagesWriter::status(std::string& out, std::string_view text) {
  net::append_sse_comment(out, text);
  event(out, "ping", R"({"type":"ping"})");
}

void MessagesWriter::choice_end(std::string& out, std::uint32_t, const hub::ChoiceEnd& end) {
  close(out);
  end_ = end;
}

void MessagesWriter::finish(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) {
  std::string data;
  JsonWriter json(data);
  json.begin_object().key("type").value("message_delta").key("delta").begin_object();
  write_stop(json, end_, has_tool_calls_);
  json.end_object();
  json.key("usage");
  write_usage(json, usage);
  json.key("hearth").raw(hub::receipt_to_json(receipt)).end_object();
  event(out, "message_delta", data);
  event(out, "message_stop", R"({"type":"message_stop"})");
}

class CountWriter final : public WholeWriter {
 public:
  std::string whole(std::span<const Choice>, const hub::Usage& usage, const hub::Receipt&) const override {
    return fmt::format(R"({{"input_tokens":{}}})", usage.prompt_tokens);
  }
};

void MessagesWriter::error(std::string& out, const ApiError& error) { event(out, "error", anthropic::render_error(error)); }

}  // namespace

std::unique_ptr<AnswerWriter> make_messages_writer(const AnswerMark& mark, std::string model, bool shows_advice) {
  return std::make_unique<MessagesWriter>(mark, std::move(model), shows_advice);
}

std::string render_error(const ApiError& error) {
  struct Row {
    unsigned status;
    const char* type;
  };
  static constexpr auto kTypes = std::to_array<Row>({{400, "invalid_request_error"},
                                                     {401, "authentication_error"},
                                                     {403, "permission_error"},
                                                     {404, "not_found_error"},
                                                     {413, "request_too_large"},
                                                     {429, "rate_limit_error"},
                                                     {503, "overloaded_error"}});
  const auto* const row = std::ranges::find(kTypes, error.status, &Row::status);
  const char* const other = error.status < 500 ? "invalid_request_error" : "api_error";
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("type").value("error").key("error").begin_object();
  json.key("type").value(row != kTypes.end() ? row->type : other);
  json.key("message").value(error.message).end_object().end_object();
  return out;
}

std::unique_ptr<AnswerWriter> make_count_writer() { return std::make_unique<CountWriter>(); }

}  // namespace hearth::api::anthropic

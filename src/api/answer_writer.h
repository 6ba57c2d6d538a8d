// How a protocol writes an answer: the hub's events in, bytes for the client out.
//
// A protocol is a row for the server: a parser that makes a ChatCall of a body, and a writer that
// the call brings along.  The server knows neither's JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/error_status.h"
#include "engine/engine.h"
#include "hub/hub.h"

namespace hearth::api {

// One choice of a whole answer, collected from a sink's events.
struct Choice {
  std::string text;
  std::string reasoning;
  std::vector<hub::ToolCall> tool_calls;
  std::vector<std::string> advice;  // That came before the text.
  std::vector<engine::TokenEvent> tokens;  // Kept only for log-probabilities.
  hub::ChoiceEnd end;
};

// Adds a piece to the calls that it belongs to.
void append_tool_call(std::vector<hub::ToolCall>& calls, const hub::ToolCallPiece& piece);

// A call's arguments as a JSON object; "{}" for what a model that broke off left as none.
std::string arguments_object(const std::string& arguments);

// What sets one answer apart from all others.
struct AnswerMark {
  std::string id;  // 24 hexadecimal digits, drawn at random.
  std::int64_t created_unix_us = 0;
};

// Writes one answer, either whole or as a stream.  Members append to `out`, framed as
// content_type() says.
//
// Threading: externally synchronised.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  virtual std::string whole(std::span<const Choice> choices, const hub::Usage& usage,
                            const hub::Receipt& receipt) const = 0;

  // Of the stream.  begin() is the first call; finish() or error() is the last.
  virtual const char* content_type() const { return "text/event-stream; charset=utf-8"; }
  virtual void begin(std::string& out) = 0;
  virtual void text(std::string& out, std::uint32_t choice, std::string_view text,
                    const engine::TokenEvent& token) = 0;
  virtual void reasoning(std::string& out, std::uint32_t choice, std::string_view text) = 0;
  virtual void tool_call(std::string& out, std::uint32_t choice, const hub::ToolCallPiece& piece) = 0;
  // Advice came; most protocols have no word for it.
  virtual void advice(std::string& out, std::string_view text) { (void)out, (void)text; }
  // What the hub does meanwhile; clients that do not know it must be able to pass it over.
  virtual void status(std::string& out, std::string_view text) = 0;
  virtual void choice_end(std::string& out, std::uint32_t choice, const hub::ChoiceEnd& end) = 0;
  virtual void finish(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) = 0;
  virtual void error(std::string& out, const ApiError& error) = 0;

  virtual bool wants_tokens() const { return false; }  // Of whole answers, for log-probabilities.
};

// For answers that are never streamed.
class WholeWriter : public AnswerWriter {
 public:
  void begin(std::string&) final {}
  void text(std::string&, std::uint32_t, std::string_view, const engine::TokenEvent&) final {}
  void reasoning(std::string&, std::uint32_t, std::string_view) final {}
  void tool_call(std::string&, std::uint32_t, const hub::ToolCallPiece&) final {}
  void status(std::string&, std::string_view) final {}
  void choice_end(std::string&, std::uint32_t, const hub::ChoiceEnd&) final {}
  void finish(std::string&, const hub::Usage&, const hub::Receipt&) final {}
  void error(std::string&, const ApiError&) final {}
};

// A chat or a completion as the server needs it: what to ask, and how to write what comes.
struct ChatCall {
  hub::ChatRequest chat;  // `client` is left for the server to fill; and the seed, where has_seed is false.
  bool stream = false;
  std::function<std::unique_ptr<AnswerWriter>(AnswerMark mark)> make_writer;
};

}  // namespace hearth::api

// OpenAI's answers: whole, as chunks of a stream, lists of models, plain completions.
//
// Where a field has no counterpart here it has the value that strict clients expect
// (refusal: null, system_fingerprint absent).  Thinking goes out as `reasoning_content`, which is no part
// of OpenAI's API but of all local servers'.  Hearth's receipt rides along in an extension
// member `hearth` of the answer, or of the last chunk before [DONE].
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer_writer.h"
#include "api/openai/request.h"
#include "engine/engine.h"
#include "hub/hub.h"

namespace hearth::api::openai {

// What every piece of one answer repeats.
struct AnswerHead {
  Endpoint endpoint = Endpoint::kChat;
  std::string id;            // "chatcmpl-..." or "cmpl-...".
  std::int64_t created_unix_s = 0;
  std::string model;         // As the request named it.
  bool logprobs = false;
  bool include_usage = false;
};

// "stop", "tool_calls" or "length"; an answer that was cut off for any reason is "length".
const char* finish_reason_name(engine::FinishReason reason, bool has_tool_calls);

std::string render_answer(const AnswerHead& head, std::span<const Choice> choices,
                          const hub::Usage& usage, const hub::Receipt& receipt);

// Renders the data of a stream's events.  Each member appends one event, framed for
// text/event-stream, to `out`.
//
// Threading: externally synchronised.
class ChunkRenderer {
 public:
  explicit ChunkRenderer(const AnswerHead& head);

  void role(std::string& out, std::uint32_t choice) const;
  // `token` is looked at only when log-probabilities were asked for.  `text_offset`: bytes of the choice's
  // text before this piece (plain completions report it).
  void text(std::string& out, std::uint32_t choice, std::string_view text,
            const engine::TokenEvent& token, std::size_t text_offset) const;
  void reasoning(std::string& out, std::uint32_t choice, std::string_view text) const;
  void tool_call(std::string& out, std::uint32_t choice, const hub::ToolCallPiece& piece) const;
  // `receipt`: null but for the last chunk.
  void finish(std::string& out, std::uint32_t choice, engine::FinishReason reason,
              bool has_tool_calls, const hub::Receipt* receipt) const;
  void usage(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) const;
  static void error(std::string& out, const ApiError& error);
  static void done(std::string& out);

 private:
  // A chat's chunk up to its delta, and from there on.
  void begin_delta(std::string& out, std::uint32_t choice) const;
  static void end_delta(std::string& out);

  AnswerHead head_;
  std::string prefix_;  // The members that every chunk starts with.
};

std::string render_models(std::span<const hub::ModelEntry> models, std::int64_t created_unix_s);
std::string render_model(const hub::ModelEntry& model, std::int64_t created_unix_s);

}  // namespace hearth::api::openai

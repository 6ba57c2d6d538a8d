// Reads what another server answers to a chat or a plain completion, as it arrives: a stream of
// events, one JSON object from servers that ignore "stream", or an error in either form.
//
// Nothing in an answer is trusted: sizes and counts are bounded, invalid UTF-8 becomes U+FFFD, wrong types
// and unknown members are passed over, calls are numbered anew.  What comes out is what a client may
// be shown.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/pricing.h"
#include "advisor/provider_json.h"
#include "engine/engine.h"
#include "hub/chat.h"
#include "net/sse.h"

namespace hearth::hub {

// A part of one choice's answer.
struct UpstreamPiece {
  std::uint32_t choice = 0;
  std::string reasoning;
  std::string text;
  std::vector<engine::TokenEvent> tokens;  // Of the text, with log-probabilities, where they came.
  std::vector<ToolCallPiece> calls;

  bool is_empty() const { return reasoning.empty() && text.empty() && tokens.empty() && calls.empty(); }
};

struct StreamLimits {
  std::uint32_t n_choices = 1;
  std::uint64_t text_bytes_max = std::uint64_t{64} << 20;  // Of text, thinking and arguments together.
  std::uint32_t calls_max = 128;                           // Of a choice.
  std::uint32_t n_top_logprobs_max = 20;
};

// Threading: externally synchronised.
class StreamReader {
 public:
  using OnPiece = std::function<void(UpstreamPiece)>;

  StreamReader(StreamLimits limits, OnPiece on_piece);
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  // False once nothing more is wanted: the stream is done, over its limit, or makes no sense.
  bool feed(std::string_view bytes);
  // After the last byte: reads what came as one JSON object.
  void finish();

  // As the server says it, for each choice; empty: not yet.
  const std::vector<std::string>& finish_reasons() const { return finish_reasons_; }
  const advisor::TokenUse& use() const { return use_; }
  const advisor::ProviderError& error() const { return error_; }
  const std::string& model() const { return model_; }         // That answers, as it says.
  std::uint64_t content_bytes() const { return content_bytes_; }
  bool is_complete() const;
  bool is_cut() const { return is_cut_; }          // At text_bytes_max.
  bool is_garbled() const { return is_garbled_; }  // It was neither form.

 private:
  enum class Form : std::uint8_t { kUnknown, kEvents, kObject };
  using Json = advisor::Json;

  // A choice's calls: which of the server's numbers and ids each one had.
  struct CallNames {
    std::int64_t index = -1;
    std::string id;
  };

  void take_event(const net::SseEvent& event);
  void take_answer(std::string_view json, const char* message_key);
  void take_choice(const Json& choice, std::uint32_t number, const char* message_key);
  void take_call(const Json& call, UpstreamPiece& piece);
  std::string take_text(const Json& value);

  static constexpr std::size_t kObjectBytesMax = std::size_t{64} << 20;
  static constexpr std::size_t kEventBytesMax = std::size_t{4} << 20;

  const StreamLimits limits_;
  OnPiece on_piece_;
  net::SseParser events_;
  Form form_ = Form::kUnknown;
  std::string object_;
  std::vector<std::string> finish_reasons_;
  std::vector<std::vector<CallNames>> calls_;
  advisor::TokenUse use_;
  advisor::ProviderError error_;
  std::string model_;
  std::uint64_t content_bytes_ = 0;
  bool has_content_ = false;
  bool is_done_ = false;
  bool is_cut_ = false;
  bool is_garbled_ = false;
};

}  // namespace hearth::hub

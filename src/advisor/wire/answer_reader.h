// Reads what another server's model answers, as it arrives: a stream of events, one JSON object from
// servers that ignore "stream", or an error in either form; in whichever wire's words.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "advisor/wire/answer.h"
#include "advisor/wire/wire.h"
#include "net/sse.h"

namespace hearth::advisor {

// Threading: externally synchronised.
class AnswerReader {
 public:
  using OnPiece = std::function<void(AnswerPiece)>;

  // Without `on_piece` the text is kept (text()), and thinking and calls are dropped.
  AnswerReader(const WireFormat& wire, AnswerLimits limits, OnPiece on_piece = {});
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;

  // False once nothing more is wanted: the stream is done, has reached a limit, or makes no sense.
  bool feed(std::string_view bytes);
  // After the last byte: reads what came as one JSON object.
  void finish();

  const std::string& text() const { return text_; }
  const TokenUse& use() const { return answer_.use(); }
  const ProviderError& error() const { return answer_.error(); }
  const std::string& finish_reason() const { return answer_.finish_reason(); }  // In OpenAI's chat's words.
  const std::string& model() const { return answer_.model(); }
  std::string carried(std::uint32_t call) const { return answer_.carried(call); }
  std::uint64_t content_bytes() const { return answer_.content_bytes(); }
  bool is_complete() const { return answer_.is_done() || !answer_.finish_reason().empty(); }
  bool is_cut() const { return answer_.is_cut(); }          // It was longer than its limits.
  bool is_garbled() const { return answer_.is_garbled(); }  // It was neither form.

 private:
  enum class Form : std::uint8_t { kUnknown, kEvents, kObject };

  void take_event(const net::SseEvent& event);
  void take(const Json& event, bool is_whole);
  bool is_over() const { return answer_.is_done() || answer_.is_cut() || answer_.is_garbled(); }

  static constexpr std::size_t kObjectBytesMax = std::size_t{64} << 20;
  static constexpr std::size_t kEventBytesMax = std::size_t{4} << 20;

  const WireFormat& wire_;
  OnPiece on_piece_;
  net::SseParser events_;
  Form form_ = Form::kUnknown;
  std::string object_;
  std::string text_;
  Answer answer_;
};

}  // namespace hearth::advisor

// Reads what an OpenAI-compatible endpoint answers, as it arrives: a stream of events, or
// one JSON object from servers that ignore "stream", or an error in either form.
//
// Nothing in an answer is trusted: sizes are bounded, unknown members skipped, wrong
// types ignored, and numbers only recorded (pricing.h decides what to believe).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "advisor/pricing.h"
#include "advisor/provider_json.h"
#include "net/sse.h"

namespace hearth::advisor {

// Threading: externally synchronised.
class AnswerReader {
 public:
  explicit AnswerReader(std::uint64_t text_bytes_max);
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;

  // False once nothing more is wanted: the stream is done, its text has reached its limit, or it
  // makes no sense.
  bool feed(std::string_view bytes);
  // After the last byte: reads what came as one JSON object.
  void finish();

  const std::string& text() const { return text_; }
  const TokenUse& use() const { return use_; }
  const ProviderError& error() const { return error_; }
  const std::string& finish_reason() const { return finish_reason_; }
  bool is_complete() const { return is_done_ || !finish_reason_.empty(); }
  bool is_cut() const { return is_cut_; }          // The text was longer than its limit.
  bool is_garbled() const { return is_garbled_; }  // It was neither form.

 private:
  enum class Form : std::uint8_t { kUnknown, kEvents, kObject };

  void take_event(const net::SseEvent& event);
  void take_object(std::string_view json, const char* message_key);
  void append_text(std::string_view more);

  static constexpr std::size_t kObjectBytesMax = std::size_t{4} << 20;
  static constexpr std::size_t kEventBytesMax = std::size_t{1} << 20;

  std::uint64_t text_bytes_max_;
  net::SseParser events_;
  Form form_ = Form::kUnknown;
  std::string object_;
  std::string text_;
  TokenUse use_;
  ProviderError error_;
  std::string finish_reason_;
  bool is_done_ = false;
  bool is_cut_ = false;
  bool is_garbled_ = false;
};

}  // namespace hearth::advisor

#include "advisor/wire/answer_reader.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/utf8.h"

namespace hearth::advisor {

AnswerReader::AnswerReader(const WireFormat& wire, AnswerLimits limits, OnPiece on_piece)
    : wire_(wire),
      on_piece_(std::move(on_piece)),
      events_([this](const net::SseEvent& event) { take_event(event); }, kEventBytesMax),
      answer_(limits) {}

bool AnswerReader::feed(std::string_view bytes) {
  if (form_ == Form::kUnknown) {
    const std::size_t first = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (first == std::string_view::npos) return true;
    bytes.remove_prefix(first);  // As pieces before this one were passed over.
    form_ = bytes[0] == '{' || bytes[0] == '[' ? Form::kObject : Form::kEvents;
  }
  if (form_ == Form::kEvents) {
    if (!events_.feed(bytes)) answer_.garble();
  } else if (object_.size() + bytes.size() > kObjectBytesMax) {
    answer_.garble();
  } else {
    object_.append(bytes);
  }
  return !is_over();
}

void AnswerReader::finish() {
  if (form_ != Form::kObject || is_over()) return;
  const Json json = parse_json(std::exchange(object_, {}));
  if (!json.is_array()) return take(json, true);
  // Some wrap errors in an array, and Gemini so wraps the events of a stream.
  for (const Json& event : json) take(event, true);
}

void AnswerReader::take_event(const net::SseEvent& event) {
  // However the bytes are cut into pieces, nothing after the end, of whatever kind, is read.
  if (event.data.empty() || is_over()) return;
  if (event.data == "[DONE]") return answer_.done();
  take(parse_json(is_valid_utf8(event.data) ? event.data : sanitize_utf8(event.data)), false);
}

void AnswerReader::take(const Json& event, bool is_whole) {
  if (is_over()) return;
  if (!event.is_object()) return answer_.garble();
  wire_.take(event, is_whole, answer_);
  AnswerPiece piece = answer_.take_piece();
  if (piece.is_empty()) return;
  if (on_piece_) return on_piece_(std::move(piece));
  text_ += piece.text;
}

}  // namespace hearth::advisor

#include "advisor/answer_reader.h"

#include <nlohmann/json.hpp>

#include "advisor/provider_json.h"
#include "base/utf8.h"

namespace hearth::advisor {

using Json = nlohmann::json;

AnswerReader::AnswerReader(std::uint64_t text_bytes_max)
    : text_bytes_max_(text_bytes_max),
      events_([this](const net::SseEvent& event) { take_event(event); }, kEventBytesMax) {}

bool AnswerReader::feed(std::string_view bytes) {
  if (form_ == Form::kUnknown) {
    const std::size_t first = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (first == std::string_view::npos) return true;
    bytes.remove_prefix(first);  // As pieces before this one were passed over.
    form_ = bytes[0] == '{' || bytes[0] == '[' ? Form::kObject : Form::kEvents;
  }
  if (form_ == Form::kEvents) {
    if (!events_.feed(bytes)) is_garbled_ = true;
  } else if (object_.size() + bytes.size() > kObjectBytesMax) {
    is_garbled_ = true;
  } else {
    object_.append(bytes);
  }
  return !is_done_ && !is_garbled_ && !is_cut_;
}

void AnswerReader::finish() {
  if (form_ == Form::kObject) take_object(object_, "message");
  // A stream may be cut within a character.
  if (!is_valid_utf8(text_)) text_ = sanitize_utf8(text_);
}

void AnswerReader::take_event(const net::SseEvent& event) {
  // However the bytes are cut into pieces, nothing after the end, of whatever kind, is read.
  if (event.data.empty() || is_done_ || is_garbled_ || is_cut_) return;
  if (event.data == "[DONE]") {
    is_done_ = true;
    return;
  }
  take_object(event.data, "delta");
}

// One chunk of a stream, or the whole of an answer that is none; they differ in one key.
void AnswerReader::take_object(std::string_view text, const char* message_key) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_array() && json.size() == 1) json = Json(json[0]);  // Some wrap errors in an array.
  if (!json.is_object()) {
    is_garbled_ = true;
    return;
  }
  const Json& error = member(json, "error");
  if (!error.is_null() && !error_.is_set()) error_ = read_error(error);
  read_use(member(json, "usage"), use_);
  const Json& choices = member(json, "choices");
  if (!choices.is_array() || choices.empty()) return;
  const Json& choice = choices[0];
  const Json& content = member(member(choice, message_key), "content");
  if (content.is_string()) append_text(content.get_ref<const std::string&>());
  if (std::string reason = text_member(choice, "finish_reason"); !reason.empty()) {
    finish_reason_ = short_text(std::move(reason));
  }
}

void AnswerReader::append_text(std::string_view more) {
  const std::uint64_t room = text_bytes_max_ - text_.size();
  if (more.size() > room) {
    is_cut_ = true;
    more = more.substr(0, complete_utf8_prefix(more.substr(0, room)));
  }
  text_.append(more);
}

}  // namespace hearth::advisor

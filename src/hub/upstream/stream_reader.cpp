#include "hub/upstream/stream_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/utf8.h"
#include "base/utf8_bounds.h"
#include "hub/call_id.h"

namespace hearth::hub {
namespace {

using advisor::count_member;
using advisor::Json;
using advisor::member;
using advisor::read_error;
using advisor::read_use;
using advisor::short_text;
using advisor::text_member;

constexpr std::size_t kNameBytesMax = 256;    // Of functions and ids.
constexpr std::size_t kTokensPerPieceMax = 4'096;
constexpr float kLogprobMin = -1e4F;

float logprob_of(const Json& value) {
  const Json& number = member(value, "logprob");
  if (!number.is_number()) return kLogprobMin;
  return static_cast<float>(std::clamp(number.get<double>(), static_cast<double>(kLogprobMin), 0.0));
}

// The token's bytes, where they are named; a part of a code point has no text of its own.
engine::TokenLogprob token_of(const Json& value) {
  engine::TokenLogprob token{.logprob = logprob_of(value)};
  const Json& bytes = member(value, "bytes");
  if (bytes.is_array() && bytes.size() <= kNameBytesMax) {
    for (const Json& byte : bytes) {
      const auto number = byte.is_number_integer() ? byte.get<std::int64_t>() : -1;
      if (number >= 0 && number <= 255) token.bytes.push_back(static_cast<char>(number));
    }
  }
  if (token.bytes.empty()) token.bytes = text_member(value, "token").substr(0, kNameBytesMax);
  return token;
}

std::vector<engine::TokenEvent> tokens_of(const Json& logprobs, std::uint32_t n_top_max) {
  std::vector<engine::TokenEvent> tokens;
  const Json& content = member(logprobs, "content");
  if (!content.is_array()) return tokens;
  for (const Json& entry : content) {
    if (tokens.size() == kTokensPerPieceMax) break;
    engine::TokenEvent event;
    event.token = token_of(entry);
    const Json& top = member(entry, "top_logprobs");
    for (std::size_t i = 0; top.is_array() && i < std::min<std::size_t>(top.size(), n_top_max); ++i) {
      event.top.push_back(token_of(top[i]));
    }
    if (!event.token.bytes.empty()) tokens.push_back(std::move(event));
  }
  return tokens;
}

}  // namespace

StreamReader::StreamReader(StreamLimits limits, OnPiece on_piece)
    : limits_(limits),
      on_piece_(std::move(on_piece)),
      events_([this](const net::SseEvent& event) { take_event(event); }, kEventBytesMax),
      finish_reasons_(limits.n_choices),
      calls_(limits.n_choices) {}

bool StreamReader::is_complete() const {
  if (is_done_) return has_content_ || std::ranges::any_of(finish_reasons_, [](auto& r) { return !r.empty(); });
  return std::ranges::none_of(finish_reasons_, &std::string::empty);
}

bool StreamReader::feed(std::string_view bytes) {
  if (form_ == Form::kUnknown) {
    const std::size_t first = bytes.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
    if (first == std::string_view::npos) return true;
    bytes.remove_prefix(first);
    form_ = bytes[0] == '{' || bytes[0] == '[' ? Form::kObject : Form::kEvents;
  }
  if (form_ == Form::kEvents) {
    if (!events_.feed(bytes)) is_garbled_ = true;
  } else {
    if (object_.size() + bytes.size() > kObjectBytesMax) is_garbled_ = true;
    if (!is_garbled_) object_.append(bytes);
  }
  return !is_done_ && !is_cut_ && !is_garbled_;
}

void StreamReader::finish() {
  if (form_ == Form::kObject && !is_garbled_) take_answer(std::exchange(object_, {}), "message");
}

void StreamReader::take_event(const net::SseEvent& event) {
  if (is_done_ || is_cut_ || is_garbled_ || event.data.empty()) return;
  if (event.data == "[DONE]") {
    is_done_ = true;
    return;
  }
  take_answer(event.data, "delta");
}

void StreamReader::take_answer(std::string_view text, const char* message_key) {
  Json json = advisor::parse_json(is_valid_utf8(text) ? std::string(text) : sanitize_utf8(text));
  if (json.is_array() && json.size() == 1) json = Json(json[0]);  // Some wrap errors in an array.
  if (!json.is_object()) {
    is_garbled_ = true;
    return;
  }
  if (const Json& error = member(json, "error"); !error.is_null()) error_ = read_error(error);
  read_use(member(json, "usage"), use_);
  if (model_.empty()) model_ = short_text(text_member(json, "model"));
  const Json& choices = member(json, "choices");
  if (!choices.is_array()) return;
  for (const Json& choice : choices) {
    const std::int64_t number = std::max<std::int64_t>(count_member(choice, "index"), 0);
    if (number >= limits_.n_choices) continue;
    take_choice(choice, static_cast<std::uint32_t>(number), message_key);
  }
}

void StreamReader::take_choice(const Json& choice, std::uint32_t number, const char* message_key) {
  const Json& message = member(choice, message_key);
  UpstreamPiece piece{.choice = number};
  // The two names that servers have for thinking.
  piece.reasoning = take_text(member(message, "reasoning_content"));
  if (piece.reasoning.empty()) piece.reasoning = take_text(member(message, "reasoning"));
  const bool is_chat = message.is_object();
  piece.text = take_text(is_chat ? member(message, "content") : member(choice, "text"));
  if (is_chat && piece.text.empty()) piece.text = take_text(member(message, "refusal"));
  piece.tokens = tokens_of(member(choice, "logprobs"), limits_.n_top_logprobs_max);
  const Json& calls = member(message, "tool_calls");
  for (std::size_t i = 0; calls.is_array() && i < calls.size() && !is_cut_; ++i) {
    take_call(calls[i], piece);
  }
  if (std::string reason = text_member(choice, "finish_reason"); !reason.empty()) {
    finish_reasons_[number] = short_text(std::move(reason));
  }
  if (piece.is_empty()) return;
  has_content_ = true;
  on_piece_(std::move(piece));
}

// A new number, or a new id under an old number, begins a call.  Whole messages and some servers have no
// numbers: there each id, or each name, is a call.
void StreamReader::take_call(const Json& call, UpstreamPiece& piece) {
  std::vector<CallNames>& known = calls_[piece.choice];
  const Json& function = member(call, "function");
  const std::int64_t index = count_member(call, "index");
  const std::string id = text_member(call, "id").substr(0, kNameBytesMax);
  const std::string name = text_member(function, "name").substr(0, kNameBytesMax);
  std::size_t at = known.size();
  for (std::size_t i = known.size(); i-- > 0;) {
    const bool has_number = index >= 0 && known[i].index >= 0;
    const bool is_same = has_number ? known[i].index == index && (id.empty() || id == known[i].id)
                         : !id.empty() ? known[i].id == id
                                       : name.empty() && i + 1 == known.size();
    if (!is_same) continue;
    at = i;
    break;
  }
  ToolCallPiece out{.index = static_cast<std::uint32_t>(at)};
  if (at == known.size()) {
    if (name.empty()) return;  // Arguments of a function that nobody named.
    if (known.size() == limits_.calls_max) {
      is_cut_ = true;
      return;
    }
    known.push_back({.index = index, .id = id});
    out.id = id.empty() ? make_call_id() : sanitize_utf8(id);
    out.name = sanitize_utf8(name);
  }
  const Json& arguments = member(function, "arguments");
  out.arguments = arguments.is_object() ? arguments.dump() : take_text(arguments);
  if (!out.name.empty() || !out.arguments.empty()) piece.calls.push_back(std::move(out));
}

// The text, as far as the limit goes.
std::string StreamReader::take_text(const Json& value) {
  if (!value.is_string() || is_cut_) return "";
  std::string text = value.get<std::string>();
  const std::uint64_t room = limits_.text_bytes_max - content_bytes_;
  if (text.size() > room) {
    is_cut_ = true;
    text.resize(utf8_bound_up_to(text, room));
  }
  content_bytes_ += text.size();
  return text;
}

}  // namespace hearth::hub

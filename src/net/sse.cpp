#include "net/sse.h"

#include <fmt/format.h>

#include <utility>

namespace hearth::net {

void append_sse_event(std::string& out, std::string_view data, std::string_view event) {
  if (!event.empty()) {
    out.append("event: ").append(event).push_back('\n');
  }
  while (true) {
    const std::size_t end = data.find_first_of("\r\n");
    out.append("data: ").append(data.substr(0, end)).push_back('\n');
    if (end == std::string_view::npos) break;
    const bool crlf = data.substr(end, 2) == "\r\n";
    data.remove_prefix(end + (crlf ? 2 : 1));
  }
  out.push_back('\n');
}

void append_sse_comment(std::string& out, std::string_view text) {
  out.append(": ");
  for (const char c : text) out.push_back(c == '\r' || c == '\n' ? ' ' : c);
  out.append("\n\n");
}

SseParser::SseParser(Handler handler, std::size_t event_bytes_max)
    : handler_(std::move(handler)), event_bytes_max_(event_bytes_max) {}

Result<> SseParser::feed(std::string_view bytes) {
  while (!bytes.empty() && !broken_) {
    const std::size_t end = bytes.find_first_of("\r\n");
    HEARTH_TRY_VOID(feed_byte_run(bytes.substr(0, end)));
    if (end == std::string_view::npos) return {};
    // CR, LF and CRLF each end a line; a CRLF may be cut between two calls.
    const bool second_half_of_crlf = last_was_cr_ && end == 0 && bytes[0] == '\n';
    last_was_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (!second_half_of_crlf) end_line();
  }
  if (broken_) return fail(Code::kCorrupt, "event stream: it broke its limit earlier");
  return {};
}

Result<> SseParser::feed_byte_run(std::string_view run) {
  if (run.empty()) return {};
  last_was_cr_ = false;
  if (line_.size() + current_.data.size() + run.size() > event_bytes_max_) {
    broken_ = true;
    return fail(Code::kCorrupt, fmt::format("event stream: an event exceeds the limit of {} bytes",
                                            event_bytes_max_));
  }
  line_.append(run);
  return {};
}

void SseParser::end_line() {
  std::string line = std::exchange(line_, {});
  if (std::exchange(at_start_, false) && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  if (line.empty()) return end_event();

  const std::size_t colon = line.find(':');
  const std::string_view field = std::string_view(line).substr(0, colon);
  std::string_view value;
  if (colon != std::string::npos) value = std::string_view(line).substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);

  if (colon == 0) {
    handler_(SseEvent{.comment = std::string(value)});
  } else if (field == "event") {
    current_.event = value;
  } else if (field == "data") {
    if (std::exchange(has_data_, true)) current_.data.push_back('\n');
    current_.data.append(value);
  }
}

void SseParser::end_event() {
  const SseEvent done = std::exchange(current_, {});
  if (std::exchange(has_data_, false)) handler_(done);
}

}  // namespace hearth::net

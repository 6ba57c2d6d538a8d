// Server-sent events, both directions: the text that a server writes and the parser
// that a client feeds with whatever pieces the network delivers.
//
// Format: https://html.spec.whatwg.org/multipage/server-sent-events.html.  A stream is
// lines; an empty line ends an event; `data:` lines join with a newline; a line that
// starts with a colon is a comment.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::net {

// Appends one event: an optional `event:` line, a `data:` line per line of `data`, and the empty
// line that ends it.  `event` must hold no line break.
void append_sse_event(std::string& out, std::string_view data, std::string_view event = {});

// Appends a comment, which clients skip; line breaks in `text` become spaces.
void append_sse_comment(std::string& out, std::string_view text);

struct SseEvent {
  std::string event;  // Empty: "message".
  std::string data;
  std::string comment;  // Set for a comment alone; the others are empty then.
};

// Splits a byte stream into events, however it is cut.
//
// Threading: externally synchronised.
class SseParser {
 public:
  using Handler = std::function<void(const SseEvent&)>;

  // An event or a line of more than `event_bytes_max` bytes is an error.
  static constexpr std::size_t kEventBytesMax = std::size_t{8} << 20;
  explicit SseParser(Handler handler, std::size_t event_bytes_max = kEventBytesMax);

  // Calls the handler for each event that `bytes` completes.  kCorrupt, once and for ever, when an
  // event exceeds its limit.
  Result<> feed(std::string_view bytes);

  // True if the stream so far ends inside an event: the peer broke off.
  bool inside_event() const { return !line_.empty() || has_data_ || !current_.event.empty(); }

 private:
  Result<> feed_byte_run(std::string_view run);
  void end_line();
  void end_event();

  Handler handler_;
  std::size_t event_bytes_max_;
  std::string line_;
  SseEvent current_;
  bool has_data_ = false;
  bool last_was_cr_ = false;
  bool at_start_ = true;
  bool broken_ = false;
};

}  // namespace hearth::net

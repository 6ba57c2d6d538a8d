// Takes a model's answer apart while it comes: thinking, plain text, tool calls.
//
// Text comes in pieces that end where tokens end; what goes out must not depend on where
// that is.  So nothing is decided before the text that decides it is there: the parser holds
// back what could still become a mark, and no more.  Concatenated, events are the same for any cut.
//
// Nothing is lost.  What looks like a call and turns out to be none (no JSON, a function that
// nobody offered, the answer's end before the name was complete) goes out as plain text, marks
// included.  Once a function's name is known and its arguments have begun, the call stands: its
// arguments go out as they come, and where the model breaks its own syntax or the answer is cut short
// they are what it wrote, which is what OpenAI's API does ("may be invalid JSON").  Arguments that the
// model does not write as JSON (tags, Gemma, Python) are turned into JSON here.
//
// Only white space at the borders between thinking, text and calls is dropped, and the marks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/answer/answer_format.h"

namespace hearth::text {

// A call that has not shown its function's name and the start of its arguments within this many bytes
// is none.
inline constexpr std::size_t kCallHeaderBytesMax = 64 * 1024;
inline constexpr std::size_t kFunctionNameBytesMax = 256;

enum class AnswerEventKind : std::uint8_t {
  kText,
  kReasoning,
  kCallStart,   // `text` is the function's name.
  kArguments,   // A piece of the last call's arguments, JSON text.
  kCallEnd,
};

struct AnswerEvent {
  AnswerEventKind kind = AnswerEventKind::kText;
  std::string text;
  bool operator==(const AnswerEvent&) const = default;
};

// A function that the request offers.
struct OfferedTool {
  std::string name;
  std::string parameters;  // JSON Schema; empty: unknown.
};

struct AnswerParserOptions {
  // None offered: calls are not looked for, and what looks like one is plain text.
  std::vector<OfferedTool> tools;
  bool parallel_calls = true;  // Else calls after the first are dropped.
  // The end of the rendered prompt, which may have opened a thinking block or a call.
  std::string prompt_tail;
};

// Threading: externally synchronised.
class AnswerParser {
 public:
  static std::unique_ptr<AnswerParser> create(const AnswerFormat& format, AnswerParserOptions options);
  virtual ~AnswerParser() = default;

  // Appends what `text` makes certain to `events`; neighbours of one kind are merged.
  virtual void push(std::string_view text, std::vector<AnswerEvent>& events) = 0;
  // The answer's end.  `is_cut`: by a limit, so that a call on its way is left as it is; else what
  // can be closed is.
  virtual void finish(bool is_cut, std::vector<AnswerEvent>& events) = 0;
};

}  // namespace hearth::text

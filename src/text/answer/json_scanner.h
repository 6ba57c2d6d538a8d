// Finds where a JSON value ends while its text is still coming, and whether it is one.
//
// Arguments of a tool call are passed on as they come, so nobody may wait for the end to
// parse them.  The scanner is a push-down automaton over bytes: it keeps the brackets that
// are open and what may come next, and never looks back.
//
// One leniency: control characters may stand raw inside strings.  Models write line ends there
// when an argument is a file; a caller that passes the text on escapes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::text {

// Threading: externally synchronised.
class JsonScanner {
 public:
  static constexpr std::size_t kDepthMax = 200;

  enum class Verdict : std::uint8_t {
    kMore,        // The byte belongs to the value, which goes on.
    kEnds,        // The byte is the value's last.
    kEndedBefore, // The value ended before this byte: a number or a literal.
    kBad,         // No JSON value continues so, or it nests too deep.
  };

  // `in_object` starts behind a member's value in an object whose `{` was consumed before: what is
  // scanned is the rest of that object.
  explicit JsonScanner(bool in_object = false);

  Verdict feed(char byte);
  // Whether the value is complete if nothing more comes: a number or a literal may be.
  bool is_complete_at_end() const;
  bool in_string() const { return in_string_; }

 private:
  enum class Next : std::uint8_t { kValue, kValueOrEnd, kKey, kKeyOrEnd, kColon, kCommaOrEnd, kNothing };

  Verdict feed_string(char byte);
  Verdict feed_scalar(char byte);
  Verdict open(char bracket);
  Verdict close(char bracket);
  Verdict after_value();
  bool scalar_is_valid() const;

  std::vector<char> open_;
  Next next_ = Next::kValue;
  std::string scalar_;  // A number or literal on its way.
  bool in_string_ = false;
  bool is_key_ = false;
  bool is_escaped_ = false;
  unsigned n_hex_left_ = 0;
};

// The length of the JSON value at the head of `text`: npos if it is not complete.  `is_bad` is set if
// it can't become one.
std::size_t json_value_length(std::string_view text, bool& is_bad);

// JSON with an object or nothing in front of it: whether `text` is one complete value.
bool is_json(std::string_view text);

// Appends `text` as the inside of a JSON string.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace hearth::text

// Ends a stream of text before the first stop string in it, and holds back no more than
// could still become one.
//
// The text arrives in pieces that end where tokens end; the result must not depend on
// where that is.  So the matcher is an automaton over bytes: for each stop string the
// longest of its prefixes that the text ends with (Knuth, Morris and Pratt, 1977).
// The first string to be complete wins; of several that end at the same byte, the
// longest.  What is held back begins with a prefix of a stop string, which is valid
// UTF-8, so a held part never begins inside a code point.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::engine {

inline constexpr std::size_t kStopStringsMax = 64;
inline constexpr std::size_t kStopBytesMax = 1024;  // Of each.

// kInvalidArgument if there are too many, or one is empty, too long or not UTF-8.
Result<> check_stop_strings(const std::vector<std::string>& stops);

// Threading: externally synchronised.
class StopMatcher {
 public:
  // `stops` must have passed check_stop_strings; may be empty.
  explicit StopMatcher(const std::vector<std::string>& stops);

  // Appends to `out` what may be shown now.  True once a stop string is complete: what came before
  // it is in `out`, it and all after it are dropped.
  bool push(std::string_view piece, std::string& out);

  // Appends what was held back; nothing more will come.
  void flush(std::string& out);

  // The stop string that was found; nullptr if none was.
  const std::string* found() const { return found_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<std::uint32_t> fallback;  // [i]: longest proper prefix that text[0..i] ends with.
    std::uint32_t matched = 0;            // Bytes of `text` that the stream ends with.
  };
  static bool advance(Pattern& pattern, char byte);

  std::vector<Pattern> patterns_;
  std::string held_;  // The longest end of the stream that a pattern's prefix matches.
  const std::string* found_ = nullptr;
};

}  // namespace hearth::engine

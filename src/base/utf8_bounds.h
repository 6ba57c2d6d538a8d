// Where a UTF-8 text that is there as a whole may be cut: between sequences, and not inside one.  Of a text that is still
// coming, complete_utf8_prefix (utf8.h) says what may go on already.
#pragma once

#include <cstddef>
#include <string_view>

namespace hearth {

// Whether a byte goes on with a sequence that an earlier one began.
constexpr bool continues_utf8(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// No sequence goes on for longer.
inline constexpr std::size_t kUtf8ContinuesMax = 3;

// The nearest place from `at` on, or up to it, where no sequence is cut; `at` beyond the end is the end.  It is never
// farther away than a sequence is long: in what is no UTF-8, it is `at`.
constexpr std::size_t utf8_bound_from(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  for (std::size_t n = 0; n <= kUtf8ContinuesMax; ++n) {
    if (at + n == text.size() || !continues_utf8(text[at + n])) return at + n;
  }
  return at;
}
constexpr std::size_t utf8_bound_up_to(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  for (std::size_t n = 0; n <= kUtf8ContinuesMax && n <= at; ++n) {
    if (!continues_utf8(text[at - n])) return at - n;
  }
  return at;
}

}  // namespace hearth

// Where a UTF-8 text may be cut: between sequences, and not inside one.
#pragma once

#include <cstddef>
#include <string_view>

namespace hearth {

// Whether a byte goes on with a sequence that an earlier one began.
constexpr bool continues_utf8(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The nearest place from `at` on, or up to it, where no sequence is cut; `at` beyond the end is the end.
constexpr std::size_t utf8_bound_from(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  while (at < text.size() && continues_utf8(text[at])) ++at;
  return at;
}
constexpr std::size_t utf8_bound_up_to(std::string_view text, std::size_t at) {
  if (at >= text.size()) return text.size();
  while (at > 0 && continues_utf8(text[at])) --at;
  return at;
}

}  // namespace hearth

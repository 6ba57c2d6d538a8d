// Classes of bytes beside those of base/ascii.h; bytes of UTF-8 sequences are letters.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "base/ascii.h"

namespace hearth::privacy {

constexpr bool is_multibyte(char c) { return static_cast<unsigned char>(c) >= 0x80; }
constexpr bool is_word(char c) { return is_alnum(c) || is_multibyte(c); }

// The byte at `at`, or '\0' outside of the text.
constexpr char at_or_zero(std::string_view text, std::size_t at) {
  return at < text.size() ? text[at] : '\0';
}

// Value of the digits at `at`, of the first nine if there are more, and how many there are, `max` at most.
struct Number {
  int value = 0;
  int length = 0;
};
constexpr Number read_number(std::string_view text, std::size_t at, int max) {
  Number number;
  while (number.length < max && is_digit(at_or_zero(text, at))) {
    if (number.length < 9) number.value = number.value * 10 + (text[at] - '0');
    ++at;
    ++number.length;
  }
  return number;
}

// Whether one of `words` ("card|credit card", in lower case) begins as a word in the `reach` bytes
// before `at`.  Costs reach times the number of words.
bool has_word_before(std::string_view text, std::size_t at, std::string_view words,
                     std::size_t reach = 48);
bool has_word_after(std::string_view text, std::size_t at, std::string_view words,
                    std::size_t reach = 16);

}  // namespace hearth::privacy

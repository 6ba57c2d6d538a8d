// Text as Python's str sees it: code points, their properties and their case.
//
// Text is UTF-8 throughout; everything here takes and gives valid UTF-8.  Properties come
// from the Unicode data of a Python (make_unicode_tables.py), because Python's str is what
// templates were written against.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::text::jinja {

// Also change FLAGS in make_unicode_tables.py.
enum CharFlag : std::uint16_t {
  kAlpha = 1 << 0,
  kDecimal = 1 << 1,
  kDigit = 1 << 2,
  kNumeric = 1 << 3,
  kUpper = 1 << 4,
  kLower = 1 << 5,
  kTitle = 1 << 6,
  kSpace = 1 << 7,
  kPrintable = 1 << 8,
  kCaseIgnorable = 1 << 9,
  kIdentifier = 1 << 10,  // May continue a Python identifier.
};
inline constexpr std::uint16_t kCased = kUpper | kLower | kTitle;
inline constexpr std::uint16_t kAlphanumeric = kAlpha | kDecimal | kDigit | kNumeric;

// The CharFlags of one code point.
std::uint16_t char_flags(char32_t code_point);
inline bool has_flag(char32_t code_point, std::uint16_t flags) {
  return (char_flags(code_point) & flags) != 0;
}

bool is_ascii(std::string_view text);

// Code points in `text`.
std::size_t char_count(std::string_view text);

// The byte offset of code point `index`; the size of `text` past its end.
std::size_t byte_offset(std::string_view text, std::size_t index);

// The bytes of the code point that starts at `offset`, which must lie inside `text`.
std::string_view char_at(std::string_view text, std::size_t offset);

// The offset of the last code point's first byte; `text` must not be empty.
std::size_t last_char_offset(std::string_view text);

// Appends `code_point` in another case; may be several code points.
void append_upper(std::string& out, char32_t code_point);
void append_lower(std::string& out, char32_t code_point);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);
std::string to_casefold(std::string_view text);
std::string to_swapcase(std::string_view text);
std::string to_capitalized(std::string_view text);

// `text` without leading (trailing) white space, or without the code points of `chars`.
std::string_view strip_left(std::string_view text);
std::string_view strip_left(std::string_view text, std::string_view chars);
std::string_view strip_right(std::string_view text);
std::string_view strip_right(std::string_view text, std::string_view chars);

}  // namespace hearth::text::jinja

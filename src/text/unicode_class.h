// The character classes that pre-tokenizers tell apart: \p{L}, \p{N}, \s and the rest.
//
// ASCII is answered from a table of 128 bytes, everything else from one flat table with a
// byte per code point (about 260 KB, filled from unicode_ranges.inc on first use in some
// tens of microseconds).  A bit per class would be eight times smaller and slower to read.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/utf8.h"

namespace hearth::text {

// A set of bits: '\n' is both kSpace and kNewline.  No bit at all is "the rest": punctuation,
// symbols, marks, controls, unassigned code points, and bytes of invalid UTF-8.
enum CharClass : std::uint8_t {
  kOther = 0,
  kLetter = 1,   // \p{L}
  kNumber = 2,   // \p{N}
  kSpace = 4,    // \s: the White_Space property.
  kNewline = 8,  // '\r' and '\n' only.
};

// The class of one code point.
std::uint8_t char_class(char32_t code_point);

struct ClassifiedChar {
  std::uint8_t bits;    // Of CharClass.
  std::uint8_t length;  // Bytes, at least 1.
};

namespace detail {
// Classes of the 128 ASCII characters.
extern const std::array<std::uint8_t, 128> kAsciiClass;
}  // namespace detail

// Class and length of the character at the head of `text`, which must not be empty.
inline ClassifiedChar classify_head(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {detail::kAsciiClass[lead], 1};
  const Utf8Char c = decode_utf8(text);
  return {c.valid ? char_class(c.code_point) : std::uint8_t{kOther}, c.length};
}

}  // namespace hearth::text

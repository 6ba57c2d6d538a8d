// UTF-8, strictly: overlong forms, surrogates and code points past U+10FFFF are errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

struct Utf8Char {
  char32_t code_point;  // kReplacementCharacter for a byte that starts no valid sequence.
  std::uint8_t length;  // Bytes consumed, at least 1.
  bool valid;
};

// Decodes the sequence at the head of `text`, which must not be empty.
Utf8Char decode_utf8(std::string_view text);

// Appends one code point; invalid ones become U+FFFD.
void append_utf8(std::string& out, char32_t code_point);

bool is_valid_utf8(std::string_view text);

// Of a text that goes on: the longest prefix that does not end inside a sequence that more bytes
// could complete.  A stream may emit exactly this much: what it holds back is at most 3 bytes.
std::size_t complete_utf8_prefix(std::string_view text);

// `text` with each byte that starts no valid sequence replaced by U+FFFD.
std::string sanitize_utf8(std::string_view text);

}  // namespace hearth

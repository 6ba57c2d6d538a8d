// The alphabet of byte-level BPE: each byte has one printable character, and vocabularies store
// tokens as strings of those.
//
// GPT-2's rule: printable Latin-1 characters stand for themselves; the other 68 bytes, in order,
// are U+0100, U+0101, ...  So the space is U+0120, which is why tokens look like "Ġthe".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::text {

// The character of `byte`, as UTF-8 of one or two bytes.
std::string_view byte_to_letter(std::uint8_t byte);

// The byte that a code point stands for, if it does.
std::optional<std::uint8_t> letter_to_byte(char32_t code_point);

// `bytes` written in the alphabet.
void append_letters(std::string& out, std::string_view bytes);

// The bytes that a stored token stands for; characters outside the alphabet stand for themselves.
std::string letters_to_bytes(std::string_view letters);

}  // namespace hearth::text

#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace hearth::text {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;
constexpr std::size_t kSubstitutes = 68;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> letters;
  std::array<std::uint8_t, kSubstitutes> substituted;  // The byte behind U+0100 + i.
};

Alphabet make_alphabet() {
  Alphabet made;
  std::size_t n = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char32_t letter = byte;
    if (!stands_for_itself(byte)) {
      made.substituted[n] = static_cast<std::uint8_t>(byte);
      letter = kFirstSubstitute + static_cast<char32_t>(n++);
    }
    append_utf8(made.letters[byte], letter);
  }
  return made;
}

const Alphabet& alphabet() {
  static const Alphabet made = make_alphabet();
  return made;
}

}  // namespace

std::string_view byte_to_letter(std::uint8_t byte) { return alphabet().letters[byte]; }

std::optional<std::uint8_t> letter_to_byte(char32_t c) {
  if (c < 256) {
    return stands_for_itself(c) ? std::optional(static_cast<std::uint8_t>(c)) : std::nullopt;
  }
  if (c >= kFirstSubstitute + kSubstitutes) return std::nullopt;
  return alphabet().substituted[c - kFirstSubstitute];
}

void append_letters(std::string& out, std::string_view bytes) {
  const auto& letters = alphabet().letters;
  for (const char byte : bytes) out += letters[static_cast<unsigned char>(byte)];
}

std::string letters_to_bytes(std::string_view letters) {
  std::string bytes;
  bytes.reserve(letters.size());
  while (!letters.empty()) {
    const Utf8Char c = decode_utf8(letters);
    const auto byte = c.valid ? letter_to_byte(c.code_point) : std::nullopt;
    if (byte) {
      bytes.push_back(static_cast<char>(*byte));
    } else {
      bytes.append(letters.substr(0, c.length));
    }
    letters.remove_prefix(c.length);
  }
  return bytes;
}

}  // namespace hearth::text

// How the tagger sees a text: words, numbers and single other characters, each with a few attributes
// as hashes.  tokens.py is the same for training; that score.py agrees with train.py shows it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::privacy {

class Gazetteer;

// In the order of ATTRS in tokens.py.
enum class Attribute : std::uint8_t {
  kWord,       // Lower-cased; of a number, what kind.
  kShape,      // "Xx", "XX", ...; of a number, what kind.
  kPrefix3,
  kSuffix2,
  kSuffix3,
  kSuffix4,
  kGazetteer,  // In which lists the word is.
  kSpace,      // What stands before it: nothing, a space, a new line, ...
  kPrevious,   // The word before it, punctuation and numbers aside.
  kNext,
  kIsLower,    // Whether there is no upper-case letter anywhere.
  kLine,       // The first word of the line, if it is before this.
  kUnitAhead,  // Whether "Apt", "Suite", ... follows soon, and on which line.
};
inline constexpr std::size_t kAttributes = 13;

struct Token {
  std::size_t begin, end;
  std::array<std::uint32_t, kAttributes> attributes;

  std::uint32_t& operator[](Attribute a) { return attributes[static_cast<std::size_t>(a)]; }
};

// Attributes of what lies outside of the text.
inline constexpr std::uint32_t kPadAttribute = 0x9999;

// Whether a code point belongs to a word; its lower case.  A few ranges, not Unicode's tables.
bool is_tagger_letter(char32_t c);
char32_t tagger_lower(char32_t c);

// The tokens of `text`, replacing those in `tokens`.
void tokenize(std::string_view text, const Gazetteer& gazetteer, std::vector<Token>& tokens);

}  // namespace hearth::privacy

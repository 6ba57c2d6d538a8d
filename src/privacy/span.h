// A stretch of text that is personal data or a secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::privacy {

// How sure a detector is, by what it rests on: where two spans overlap, the higher one stays.
enum class Rank : std::uint8_t {
  kTagger,      // Learnt: names, places, addresses.
  kPattern,     // A form that other things may have, too, or a word in front.
  kForm,        // A form that little else has: addresses of the internet, dates.
  kChecksum,    // Check digits agree.
  kSecret,      // A key of a known service.
  kDictionary,  // The user's own words.
};

struct Span {
  std::size_t begin = 0, end = 0;  // Bytes; never inside of a UTF-8 sequence.
  std::string_view type;           // "PERSON", ...: a constant, or the dictionary's.
  std::string_view detector;       // What found it: "luhn", "tagger", ...
  Rank rank = Rank::kPattern;
};

using Spans = std::vector<Span>;

}  // namespace hearth::privacy

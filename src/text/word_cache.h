// Words repeat, and a word always gives the same ids: within one encode() the ids of a word
// seen before are copied from the output instead of merged again.
//
// Direct-mapped and small, so that it stays in the L2 cache; it lives as long as one call, needs
// no lock, and its size follows the text's, so short texts don't pay for it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace hearth::text {

class WordCache {
 public:
  // Longer words are unlikely to come again.
  static constexpr std::size_t kWordBytesMax = 48;
  static constexpr std::size_t kEntriesMax = 8192;  // 256 KiB.

  // For a text of `text_bytes`; the words passed below must lie in one buffer that outlives it.
  explicit WordCache(std::size_t text_bytes)
      : entries_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 8, 1, kEntriesMax))) {}

  // Appends the ids of `word` to `out`: a copy if it came before, else what `encode(word, out)`
  // adds.
  template <class Id, class Encode>
  void append(std::string_view word, std::vector<Id>& out, Encode&& encode) {
    if (word.size() > kWordBytesMax) return encode(word, out);
    Entry& entry = entries_[hash64(word) & (entries_.size() - 1)];
    if (entry.word == word) {
      for (std::size_t i = 0; i < entry.count; ++i) out.push_back(out[entry.first + i]);
      return;
    }
    const std::size_t first = out.size();
    encode(word, out);
    entry = {word, first, out.size() - first};
  }

 private:
  struct Entry {
    std::string_view word;  // Empty while unused; no word is empty.
    std::size_t first = 0;  // Its ids are out[first, first + count).
    std::size_t count = 0;
  };
  std::vector<Entry> entries_;
};

}  // namespace hearth::text

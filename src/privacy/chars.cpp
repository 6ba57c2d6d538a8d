#include "privacy/chars.h"

namespace hearth::privacy {
namespace {

// Whether `word` stands at `at`, and no letter before it.
bool stands_at(std::string_view text, std::size_t at, std::string_view word) {
  if (at > 0 && is_word(text[at - 1])) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (lower(at_or_zero(text, at + i)) != word[i]) return false;
  }
  return true;
}

bool has_word_between(std::string_view text, std::size_t begin, std::size_t end,
                      std::string_view words) {
  while (!words.empty()) {
    const std::size_t bar = std::min(words.find('|'), words.size());
    const std::string_view word = words.substr(0, bar);
    for (std::size_t at = begin; at + word.size() <= end; ++at) {
      if (lower(text[at]) == word[0] && stands_at(text, at, word)) return true;
    }
    words.remove_prefix(std::min(bar + 1, words.size()));
  }
  return false;
}

}  // namespace

bool has_word_before(std::string_view text, std::size_t at, std::string_view words,
                     std::size_t reach) {
  return has_word_between(text, at > reach ? at - reach : 0, at, words);
}

bool has_word_after(std::string_view text, std::size_t at, std::string_view words,
                    std::size_t reach) {
  return has_word_between(text, at, std::min(text.size(), at + reach), words);
}

}  // namespace hearth::privacy

#include "advisor/memory/likeness.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace hearth::advisor {
namespace {

constexpr auto kFillers = std::to_array<std::string_view>(
    {"a", "an", "the", "please", "kindly", "hi", "hello", "hey", "thanks", "ok", "okay", "bitte", "hallo", "danke"});

// What may stand before a question without being part of it.
constexpr auto kOpenings = std::to_array<std::string_view>(
    {"can you tell me", "could you tell me", "would you tell me", "can you explain", "could you explain", "tell me",
     "explain", "i want to know", "i would like to know", "do you know"});

constexpr auto kNegations = std::to_array<std::string_view>(
    {"not", "no", "never", "without", "nor", "neither", "none", "nicht", "kein", "keine", "nie", "ohne"});

bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Punctuation that ends a word or sentence and says nothing.
bool is_silent(std::string_view text, std::size_t at) {
  const bool is_last = at + 1 == text.size() || is_space(text[at + 1]) || std::string_view(".,;:?!").find(text[at + 1]) != std::string_view::npos;
  return is_last && std::string_view(".,;:?!").find(text[at]) != std::string_view::npos;
}

bool is_inside_word(std::string_view text, std::size_t at) {
  const bool joins = text[at] == '\'' || text[at] == '.' || text[at] == ',';
  return joins && at > 0 && at + 1 < text.size() && is_word_byte(text[at - 1]) && is_word_byte(text[at + 1]);
}

// Without a plural's or an owner's s; at a sentence's beginning, without the capital that it gives.
std::string normal(std::string word, bool is_first) {
  const bool is_capital_alone = std::ranges::none_of(word.substr(1), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (is_first && is_capital_alone) word[0] = lower(word[0]);
  if (word.ends_with("'s")) word.resize(word.size() - 2);
  const bool is_plural = word.size() > 3 && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is");
  if (is_plural) word.pop_back();
  return word;
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

void drop_opening(std::vector<std::string>& words) {
  for (const std::string_view opening : kOpenings) {
    std::size_t n = 0;
    bool is_here = true;
    for (std::size_t at = 0; at < opening.size() && is_here; ++n) {
      const std::size_t end = std::min(opening.find(' ', at), opening.size());
      is_here = n < words.size() && words[n] == opening.substr(at, end - at);
      at = end + 1;
    }
    if (!is_here || n >= words.size()) continue;
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(n));
    return;
  }
}

// Without which it is another question.
bool must_be_common(const std::string& word) {
  const bool is_sign = !is_word_byte(word[0]);
  const bool has_upper = std::ranges::any_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
  return is_sign || has_upper || std::ranges::any_of(word, is_digit) || is_one_of(kNegations, word) || word.ends_with("n't");
}

}  // namespace

std::vector<std::string> question_words(std::string_view question) {
  std::vector<std::string> words;
  std::string word;
  bool is_first = true;
  const auto end_word = [&] {
    if (word.empty()) return;
    std::string made = normal(std::move(word), is_first);
    is_first = false;
    if (!is_one_of(kFillers, made)) words.push_back(std::move(made));
    word.clear();
  };
  for (std::size_t at = 0; at < question.size(); ++at) {
    const char c = question[at];
    if (is_word_byte(c) || (!word.empty() && is_inside_word(question, at))) {
      word += c;
      continue;
    }
    end_word();
    if (!is_space(c) && !is_silent(question, at)) words.emplace_back(1, c);
    if (c == '.' || c == '?' || c == '!' || c == '\n') is_first = true;
    if (words.size() > kLikenessWordsMax) return {};
  }
  end_word();
  drop_opening(words);
  return words;
}

double likeness(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return 0;
  // Rows of the longest common subsequence's table; then the words that are in none.
  std::vector<std::vector<std::uint16_t>> lengths(a.size() + 1, std::vector<std::uint16_t>(b.size() + 1));
  for (std::size_t i = a.size(); i-- > 0;) {
    for (std::size_t j = b.size(); j-- > 0;) {
      lengths[i][j] = a[i] == b[j] ? static_cast<std::uint16_t>(lengths[i + 1][j + 1] + 1)
                                   : std::max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      ++i, ++j;
      continue;
    }
    const bool skips_a = j == b.size() || (i < a.size() && lengths[i + 1][j] >= lengths[i][j + 1]);
    if (must_be_common(skips_a ? a[i++] : b[j++])) return 0;
  }
  return 2.0 * lengths[0][0] / static_cast<double>(a.size() + b.size());
}

}  // namespace hearth::advisor

#include "advisor/memory/likeness.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/ascii.h"
#include "base/common_sequence.h"

namespace hearth::advisor {
namespace {

constexpr auto kFillers = std::to_array<std::string_view>(
    {"a", "an", "the", "please", "kindly", "hi", "hello", "hey", "thanks", "ok", "okay", "bitte", "hallo", "danke"});

// What may stand before a question without being part of it.
constexpr auto kOpenings = std::to_array<std::string_view>(
    {"can you tell me", "could you tell me", "would you tell me", "can you explain", "could you explain", "tell me",
     "explain", "i want to know", "i would like to know", "do you know"});

constexpr auto kAsking = std::to_array<std::string_view>({"what", "who", "where", "when", "how"});  // "What's" is "what is".

constexpr auto kNegations = std::to_array<std::string_view>(
    {"not", "no", "never", "without", "nor", "neither", "none", "nicht", "kein", "keine", "nie", "ohne"});

// What a question is put as, and as what it counts: the same question for every rest.  Words as `normal` makes them.
struct Frame {
  std::string_view begin, end;
  std::string_view plain_begin, plain_end;
  bool is_of_number = false;  // Only where the rest begins with a digit: "compute 3 + 4".
};
constexpr auto kFrames = std::to_array<Frame>({
    {"how can I", "", "how I", ""},
    {"how can you", "", "how I", ""},
    {"how can one", "", "how I", ""},
    {"how can we", "", "how I", ""},
    {"how do I", "", "how I", ""},
    {"how do you", "", "how I", ""},
    {"how do we", "", "how I", ""},
    {"how doe one", "", "how I", ""},
    {"how would I", "", "how I", ""},
    {"how to", "", "how I", ""},
    {"how do", "differ", "what is difference between", ""},
    {"how doe", "", "how", ""},
    {"how do", "", "how", ""},
    {"what is meaning of", "", "what doe", "mean"},
    {"what is", "short for", "what doe", "stand for"},
    {"what doe acronym", "stand for", "what doe", "stand for"},
    {"what doe abbreviation", "stand for", "what doe", "stand for"},
    {"what is purpose of", "", "what is", "for"},
    {"what is effect of", "", "what doe", "do"},
    {"what is reason that", "", "why", ""},
    {"why do", "", "why", ""},
    {"why doe", "", "why", ""},
    {"who is author of", "", "who wrote", ""},
    {"in what year did", "", "when did", ""},
    {"in what year was", "", "when was", ""},
    {"in which year did", "", "when did", ""},
    {"in which year was", "", "when was", ""},
    {"what year did", "", "when did", ""},
    {"what year was", "", "when was", ""},
    {"what is height of", "", "how tall is", ""},
    {"what is speed of", "", "how fast is", ""},
    {"what is age of", "", "how old is", ""},
    {"what is price of", "", "how much doe", "cost"},
    {"what is population of", "", "how many people live in", ""},
    {"give me summary of", "", "summarize", ""},
    {"give summary of", "", "summarize", ""},
    {"summarise", "", "summarize", ""},
    {"compute", "", "what is", "", true},
    {"calculate", "", "what is", "", true},
    {"how much is", "", "what is", "", true},
    {"which is", "", "what is", ""},
    {"what", "is", "what is", ""},
    {"what", "are", "what are", ""},
});

bool is_word_byte(char c) {
  return is_alnum(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

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
  const bool is_capital_alone = std::ranges::none_of(word.substr(1), is_upper);
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

using Words = std::vector<std::string>;

Words split(std::string_view text) {
  Words words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

bool begins_with(const Words& words, const Words& begin) {
  return words.size() > begin.size() && std::equal(begin.begin(), begin.end(), words.begin());
}

void drop_opening(Words& words) {
  for (const std::string_view opening : kOpenings) {
    const Words begin = split(opening);
    if (!begins_with(words, begin)) continue;
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(begin.size()));
    return;
  }
}

// The rest of a question that is put so; nothing if it is not.
std::optional<Words> rest_of(const Words& words, const Frame& frame) {
  const Words begin = split(frame.begin), end = split(frame.end);
  if (words.size() <= begin.size() + end.size() || !begins_with(words, begin)) return std::nullopt;
  if (!std::equal(end.rbegin(), end.rend(), words.rbegin())) return std::nullopt;
  Words rest(words.begin() + static_cast<std::ptrdiff_t>(begin.size()), words.end() - static_cast<std::ptrdiff_t>(end.size()));
  if (frame.is_of_number && !is_digit(rest.front().front())) return std::nullopt;
  return rest;
}

Words put_plainly(Words words) {
  for (const Frame& frame : kFrames) {
    const std::optional<Words> rest = rest_of(words, frame);
    if (!rest) continue;
    Words plain = split(frame.plain_begin);
    plain.insert(plain.end(), rest->begin(), rest->end());
    const Words end = split(frame.plain_end);
    plain.insert(plain.end(), end.begin(), end.end());
    return plain;
  }
  return words;
}

// Without which it is another question.
bool must_be_common(const std::string& word) {
  const bool is_sign = !is_word_byte(word[0]);
  const bool has_upper = std::ranges::any_of(word, is_upper);
  return is_sign || has_upper || std::ranges::any_of(word, is_digit) || is_one_of(kNegations, word) || word.ends_with("n't");
}

}  // namespace

std::vector<std::string> question_words(std::string_view question) {
  std::vector<std::string> words;
  std::string word;
  bool is_first = true;
  const auto end_word = [&] {
    if (word.empty()) return;
    const bool is_contracted = word.ends_with("'s");
    std::string made = normal(std::move(word), is_first);
    is_first = false;
    const bool has_verb = is_contracted && is_one_of(kAsking, made);
    if (made == "into") made = "to";
    if (!is_one_of(kFillers, made)) words.push_back(std::move(made));
    if (has_verb) words.emplace_back("is");
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
  return put_plainly(std::move(words));
}

double likeness(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return 0;
  bool lacks_word = false;
  const auto note = [&](const std::string& word) { lacks_word |= must_be_common(word); };
  const std::size_t n_common = walk_common(a, b, [](const std::string&) {}, note, note);
  return lacks_word ? 0 : 2.0 * static_cast<double>(n_common) / static_cast<double>(a.size() + b.size());
}

}  // namespace hearth::advisor

#include "text/wordpiece_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <span>

#include "base/utf8.h"
#include "text/jinja/unicode.h"
#include "text/unicode_class.h"

namespace hearth::text {
namespace {

struct Range {
  char32_t first, last;
};

// What remains of a composed character without its marks; parts are 0 past the last.
struct Base {
  char32_t composed;
  std::array<char32_t, 3> parts;
};

#include "text/wordpiece_tables.inc"

// The blocks of CJK ideographs that BERT sets apart; Kana and Hangul are words like any other.
constexpr Range kIdeographs[] = {
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
    {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B820, 0x2CEAF}, {0x2F800, 0x2FA1F},
};

bool contains(std::span<const Range> ranges, char32_t c) {
  const auto above = std::ranges::upper_bound(ranges, c, {}, &Range::first);
  return above != ranges.begin() && c <= std::prev(above)->last;
}

bool is_dropped(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  return c == kReplacementCharacter || contains(kDropped, c);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7F && (char_class(c) & (kLetter | kNumber)) == 0;
  return contains(kPunctuation, c);
}

// Hangul syllables are numbered by their letters (The Unicode Standard, 3.12).
bool append_hangul_letters(std::string& out, char32_t c) {
  constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
  constexpr char32_t kVowelCount = 21, kTailCount = 28, kCount = 19 * kVowelCount * kTailCount;
  if (c < kSyllables || c >= kSyllables + kCount) return false;
  const char32_t index = c - kSyllables;
  append_utf8(out, kLeads + index / (kVowelCount * kTailCount));
  append_utf8(out, kVowels + index / kTailCount % kVowelCount);
  if (index % kTailCount != 0) append_utf8(out, kTails + index % kTailCount);
  return true;
}

// Appends what is left of `c` without accents and case; may be nothing.
void append_plain(std::string& out, char32_t c) {
  if (c < 0x80) return jinja::append_lower(out, c);
  if (contains(kMarks, c) || append_hangul_letters(out, c)) return;
  const auto base = std::ranges::lower_bound(kBases, c, {}, &Base::composed);
  if (base == std::end(kBases) || base->composed != c) return jinja::append_lower(out, c);
  for (const char32_t part : base->parts) {
    if (part != 0) jinja::append_lower(out, part);
  }
}

class WordSplitter {
 public:
  explicit WordSplitter(bool is_uncased) : is_uncased_(is_uncased) {}

  void add(char32_t c) {
    if (is_dropped(c)) return;
    if ((char_class(c) & kSpace) != 0) return end_word();
    const bool stands_alone = contains(kIdeographs, c);
    if (stands_alone) end_word();
    add_letters(c);
    if (stands_alone) end_word();
  }
  std::vector<std::string> take() {
    end_word();
    return std::move(words_);
  }

 private:
  // Punctuation is looked for in what the letter became: a Greek question mark is a semicolon.
  void add_letters(char32_t c) {
    letters_.clear();
    if (is_uncased_) {
      append_plain(letters_, c);
    } else {
      append_utf8(letters_, c);
    }
    for (std::string_view rest = letters_; !rest.empty();) {
      const Utf8Char letter = decode_utf8(rest);
      const bool stands_alone = is_punctuation(letter.code_point);
      if (stands_alone) end_word();
      word_.append(rest.substr(0, letter.length));
      if (stands_alone) end_word();
      rest.remove_prefix(letter.length);
    }
  }
  void end_word() {
    if (!word_.empty()) words_.push_back(word_);
    word_.clear();
  }

  bool is_uncased_;
  std::string letters_;  // Kept for its memory.
  std::string word_;
  std::vector<std::string> words_;
};

}  // namespace

std::vector<std::string> wordpiece_words(std::string_view text, bool is_uncased) {
  WordSplitter splitter(is_uncased);
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.valid) splitter.add(c.code_point);
    text.remove_prefix(c.length);
  }
  return splitter.take();
}

}  // namespace hearth::text

#include "text/word_matcher.h"

#include <cstdint>
#include <limits>

#include "text/unicode_class.h"

namespace hearth::text {
namespace {

constexpr std::uint8_t kWordOrSpace = kLetter | kNumber | kSpace;
constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();

// The class at `pos`; at the end of the text a character of no length.
ClassifiedChar at(std::string_view text, std::size_t pos) {
  return pos < text.size() ? classify_head(text.substr(pos)) : ClassifiedChar{kOther, 0};
}

bool is_rest(ClassifiedChar c) { return c.length > 0 && (c.bits & kWordOrSpace) == 0; }

// Past the run of at most `count` characters of class `bits` at `pos`.
std::size_t skip_class(std::string_view text, std::size_t pos, std::uint8_t bits,
                       std::size_t count = kUnbounded) {
  for (; count > 0; --count) {
    const ClassifiedChar c = at(text, pos);
    if ((c.bits & bits) == 0) break;
    pos += c.length;
  }
  return pos;
}

// Past the run of characters that are no letter, number or space.
std::size_t skip_rest(std::string_view text, std::size_t pos) {
  for (ClassifiedChar c = at(text, pos); is_rest(c); c = at(text, pos)) pos += c.length;
  return pos;
}

// Length of 's 't 're 've 'm 'll 'd at `pos`, 0 if there is none.  With `fold`, upper case counts
// too, and so does U+017F, which folds to 's' in Unicode.
std::size_t contraction_length(std::string_view text, std::size_t pos, bool fold) {
  if (text[pos] != '\'' || pos + 1 >= text.size()) return 0;
  const auto lower = [&](std::size_t i) {
    if (i >= text.size()) return '\0';
    const char c = text[i];
    return fold && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = lower(pos + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = lower(pos + 2);
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  if (fold && text.substr(pos + 1).starts_with("\u017F")) return 3;
  return 0;
}

// \s+(?!\S)|\s+ for the whitespace run at `pos`, which must not be empty: the whole run at the end
// of the text; else all but its last character, which belongs to the next word; else that one.
std::size_t match_spaces(std::string_view text, std::size_t pos) {
  std::size_t end = pos, last = pos;
  for (ClassifiedChar c = at(text, pos); (c.bits & kSpace) != 0; c = at(text, end)) {
    last = end;
    end += c.length;
  }
  return end == text.size() || last == pos ? end : last;
}

// \s*[\r\n]+|\s+(?!\S)|\s+: as above, but a run that holds newlines ends after the last of them.
std::size_t match_lines_or_spaces(std::string_view text, std::size_t pos) {
  std::size_t end = pos, last = pos, after_newline = 0;
  for (ClassifiedChar c = at(text, pos); (c.bits & kSpace) != 0; c = at(text, end)) {
    last = end;
    end += c.length;
    if ((c.bits & kNewline) != 0) after_newline = end;
  }
  if (after_newline != 0) return after_newline;
  return end == text.size() || last == pos ? end : last;
}

std::size_t match_cl100k_word(std::string_view text, std::size_t pos, std::size_t digits_max) {
  if (const std::size_t n = contraction_length(text, pos, true); n > 0) return pos + n;

  // [^\r\n\p{L}\p{N}]?\p{L}+
  const ClassifiedChar first = at(text, pos);
  if ((first.bits & kLetter) != 0) return skip_class(text, pos, kLetter);
  if ((first.bits & kNumber) != 0) return skip_class(text, pos, kNumber, digits_max);
  const std::size_t next = pos + first.length;
  if ((first.bits & kNewline) == 0 && (at(text, next).bits & kLetter) != 0) {
    return skip_class(text, next, kLetter);
  }

  //  ?[^\s\p{L}\p{N}]+[\r\n]*
  const std::size_t rest = text[pos] == ' ' ? next : pos;
  if (is_rest(at(text, rest))) return skip_class(text, skip_rest(text, rest), kNewline);
  return match_lines_or_spaces(text, pos);
}

}  // namespace

std::size_t match_gpt2_word(std::string_view text, std::size_t pos) {
  if (const std::size_t n = contraction_length(text, pos, false); n > 0) return pos + n;
  const std::size_t body = text[pos] == ' ' ? pos + 1 : pos;
  const ClassifiedChar first = at(text, body);
  if ((first.bits & kLetter) != 0) return skip_class(text, body, kLetter);
  if ((first.bits & kNumber) != 0) return skip_class(text, body, kNumber);
  if (is_rest(first)) return skip_rest(text, body);
  return match_spaces(text, pos);
}

std::size_t match_llama3_word(std::string_view text, std::size_t pos) {
  return match_cl100k_word(text, pos, 3);
}

std::size_t match_qwen2_word(std::string_view text, std::size_t pos) {
  return match_cl100k_word(text, pos, 1);
}

std::size_t match_single_number(std::string_view text, std::size_t pos) {
  const ClassifiedChar first = at(text, pos);
  if ((first.bits & kNumber) != 0) return pos + first.length;
  while (pos < text.size() && (at(text, pos).bits & kNumber) == 0) pos += at(text, pos).length;
  return pos;
}

}  // namespace hearth::text

#include "privacy/tagger/tokens.h"

#include <algorithm>

#include "base/utf8.h"
#include "privacy/chars.h"
#include "privacy/tagger/gazetteer.h"

namespace hearth::privacy {
namespace {

constexpr std::uint32_t kStart = 0x7777;
constexpr std::size_t kUnitReach = 12;  // Tokens.

// FNV-1a, a byte at a time.
class Hash {
 public:
  void add(char c) { value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x01000193U; }
  void add(std::string_view text) {
    for (const char c : text) add(c);
  }
  void add(char32_t c) {
    if (c < 0x80) return add(static_cast<char>(c));
    if (c < 0x800) {
      add(static_cast<char>(0xC0 | (c >> 6)));
    } else if (c < 0x10000) {
      add(static_cast<char>(0xE0 | (c >> 12)));
      add(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    } else {
      add(static_cast<char>(0xF0 | (c >> 18)));
      add(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
      add(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    }
    add(static_cast<char>(0x80 | (c & 0x3F)));
  }
  std::uint32_t value() const { return value_; }

 private:
  std::uint32_t value_ = 0x811C9DC5U;
};

std::uint32_t hash_of(std::string_view text) {
  Hash hash;
  hash.add(text);
  return hash.value();
}

enum class Kind : std::uint8_t { kWord, kNumber, kOther };

struct Piece {
  Kind kind;
  std::size_t end;
  bool has_upper = false;
};

void set_alone(Token& token, std::uint32_t value) {
  for (const Attribute a : {Attribute::kWord, Attribute::kShape, Attribute::kPrefix3, Attribute::kSuffix2, Attribute::kSuffix3, Attribute::kSuffix4}) token[a] = value;
}

// What a run of digits could be: a year, a day, ...
std::uint32_t number_kind(std::string_view digits) {
  const std::size_t n = digits.size();
  const int value = n <= 6 ? read_number(digits, 0, 6).value : 1'000'000;
  if (n == 4 && value >= 1900 && value <= 2099) return hash_of("#y");
  if (digits[0] == '0') {
    const std::array<char, 3> name = {'#', '0', static_cast<char>('0' + std::min<std::size_t>(n, 6))};
    return hash_of({name.data(), name.size()});
  }
  if (n <= 2) return hash_of(value <= 12 ? "#a" : value <= 31 ? "#b" : "#c");
  const std::array<char, 2> name = {'#', static_cast<char>('0' + std::min<std::size_t>(n, 7))};
  return hash_of({name.data(), name.size()});
}

std::uint32_t shape_hash(std::size_t n, std::size_t n_upper, bool is_first_upper) {
  if (n_upper == 0) return hash_of(n > 1 ? "x" : "x1");
  if (n_upper == n) return hash_of(n == 1 ? "X" : n <= 3 ? "XX" : "XX" "X");
  if (is_first_upper) return hash_of(n_upper == 1 ? "Xx" : "XxX");
  return hash_of("xX");
}

// A word's own attributes; whether it has an upper-case letter.
bool set_word(Token& token, std::string_view word) {
  std::array<char32_t, 4> last{};  // The last letters, the newest at n % 4.
  Hash whole, prefix;
  prefix.add('p');
  std::size_t n = 0, n_upper = 0;
  bool is_first_upper = false;
  for (std::size_t at = 0; at < word.size(); ++n) {
    const auto byte = static_cast<unsigned char>(word[at]);
    const Utf8Char c = byte < 0x80 ? Utf8Char{byte, 1, true} : decode_utf8(word.substr(at));
    const char32_t low = tagger_lower(c.code_point);
    if (low != c.code_point) {
      ++n_upper;
      is_first_upper = is_first_upper || n == 0;
    }
    whole.add(low);
    if (n < 3) prefix.add(low);
    last[n % 4] = low;
    at += c.length;
  }
  const auto suffix = [&](std::size_t length) {
    Hash hash;
    hash.add('s');
    for (std::size_t i = n - std::min(n, length); i < n; ++i) hash.add(last[i % 4]);
    return hash.value();
  };
  token[Attribute::kWord] = whole.value();
  token[Attribute::kShape] = shape_hash(n, n_upper, is_first_upper);
  token[Attribute::kPrefix3] = prefix.value();
  token[Attribute::kSuffix2] = suffix(2);
  token[Attribute::kSuffix3] = suffix(3);
  token[Attribute::kSuffix4] = suffix(4);
  return n_upper > 0;
}

// The token at `at`, which is no space.
Piece read_piece(std::string_view text, std::size_t at) {
  if (is_digit(text[at])) {
    std::size_t end = at;
    while (is_digit(at_or_zero(text, end))) ++end;
    return {Kind::kNumber, end};
  }
  std::size_t end = at;
  while (end < text.size()) {
    if (is_alpha(text[end])) {
      ++end;
      continue;
    }
    if (!is_multibyte(text[end])) break;
    const Utf8Char c = decode_utf8(text.substr(end));
    if (!c.valid || !is_tagger_letter(c.code_point)) break;
    end += c.length;
  }
  if (end > at) return {Kind::kWord, end};
  return {Kind::kOther, at + decode_utf8(text.substr(at)).length};
}

bool is_space(std::string_view text, std::size_t at, std::size_t& length) {
  const char c = text[at];
  length = 1;
  if (c == ' ' || c == '\t' || c == '\r' || c == '\n') return true;
  length = 2;
  return c == '\xC2' && at_or_zero(text, at + 1) == '\xA0';
}

// Spaces as tokens.py numbers them, and one more.
std::uint32_t space_kind(bool is_first, std::size_t n_breaks, bool has_gap) {
  if (is_first) return 4;
  if (n_breaks > 0) return n_breaks > 1 ? 3 : 2;
  return has_gap ? 5 : 1;
}

// What a token learns from those behind it.
void look_ahead(std::string_view text, std::vector<Token>& tokens, const std::vector<bool>& are_words) {
  std::uint32_t following = kStart;
  std::size_t unit_at = SIZE_MAX;
  bool is_on_later_line = false;
  for (std::size_t i = tokens.size(); i-- > 0;) {
    Token& token = tokens[i];
    const bool is_near = unit_at != SIZE_MAX && unit_at - i <= kUnitReach;
    token[Attribute::kUnitAhead] = !is_near ? 1 : is_on_later_line ? 3 : 2;
    token[Attribute::kNext] = following;
    if (are_words[i]) following = token[Attribute::kWord];
    const std::string_view word = text.substr(token.begin, token.end - token.begin);
    if (word.size() >= 3 && word.size() <= 5) {
      for (const std::string_view unit : {"apt", "suite", "unit", "flat", "box", "floor"}) {
        if (!equal_ignoring_case(word, unit)) continue;
        unit_at = i;
        is_on_later_line = false;
      }
    }
    const std::uint32_t space = token[Attribute::kSpace];
    if (space == 2 || space == 3) is_on_later_line = true;
  }
}

}  // namespace

bool is_tagger_letter(char32_t c) {
  if (c < 0x80) return is_alpha(static_cast<char>(c));
  const bool is_other = c < 0xC0 || c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c < 0x2E80) ||
                        (c >= 0x3000 && c < 0x3040) || (c >= 0xFE00 && c < 0xFE70) ||
                        (c >= 0xFF00 && c < 0xFF21) || c >= 0x1F000 || c == 0xFFFD;
  return !is_other;
}

char32_t tagger_lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c >= 0xC0 && c <= 0xDE) return c + 32;
  if (c >= 0x100 && c <= 0x17F) {
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c + (c & 1);
    if (c == 0x178) return 0xFF;
    return c == 0x138 || c == 0x149 || c == 0x17F ? c : c | 1;
  }
  if (c >= 0x391 && c <= 0x3A9) return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  return c >= 0x410 && c <= 0x42F ? c + 32 : c;
}

void tokenize(std::string_view text, const Gazetteer& gazetteer, std::vector<Token>& tokens) {
  tokens.clear();
  std::vector<bool> are_words;
  std::uint32_t previous = kStart, line = kStart;
  std::size_t n_breaks = 0;
  bool has_gap = false, has_upper = false;
  for (std::size_t at = 0; at < text.size();) {
    if (std::size_t length = 0; is_space(text, at, length)) {
      if (text[at] == '\n') ++n_breaks;
      has_gap = true;
      at += length;
      continue;
    }
    const Piece piece = read_piece(text, at);
    Token token{.begin = at, .end = piece.end, .attributes = {}};
    const std::string_view bytes = text.substr(at, piece.end - at);
    const bool is_word_token = piece.kind == Kind::kWord;
    if (n_breaks > 0) line = kStart;
    if (is_word_token) {
      has_upper = set_word(token, bytes) || has_upper;
    } else if (piece.kind == Kind::kNumber) {
      set_alone(token, hash_of("#"));
      token[Attribute::kWord] = token[Attribute::kShape] = number_kind(bytes);
    } else {
      set_alone(token, hash_of(bytes));
    }
    token[Attribute::kGazetteer] = 1U + (is_word_token ? gazetteer.find(token[Attribute::kWord]) : 0U);
    token[Attribute::kSpace] = space_kind(tokens.empty(), n_breaks, has_gap);
    token[Attribute::kPrevious] = previous;
    token[Attribute::kLine] = line;
    if (is_word_token) {
      previous = token[Attribute::kWord];
      if (line == kStart) line = previous;
    }
    tokens.push_back(token);
    are_words.push_back(is_word_token);
    at = piece.end;
    n_breaks = 0;
    has_gap = false;
  }
  for (Token& token : tokens) token[Attribute::kIsLower] = has_upper ? 1 : 2;
  look_ahead(text, tokens, are_words);
}

}  // namespace hearth::privacy

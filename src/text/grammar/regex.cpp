#include "text/grammar/regex.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "text/grammar/grammar.h"
#include "text/grammar/json_text.h"

namespace hearth::text::grammar {
namespace {

const CodePoints kDigits{{'0', '9'}};
const CodePoints kWordChars{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// What any dialect calls a space; \S leaves out all of them, \s takes in only the common ones.
const CodePoints kAllSpaces{{0x09, 0x0D},     {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                            {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                            {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodePoints kSpaces{{0x09, 0x0D}, {0x20, 0x20}};
const CodePoints kLineBreaks{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

struct NamedClass {
  char32_t letter;
  CodePoints set;
};

const std::vector<NamedClass>& named_classes() {
  static const std::vector<NamedClass> classes = {
      {'d', kDigits},    {'D', kDigits.complement()},
      {'w', kWordChars}, {'W', kWordChars.complement()},
      {'s', kSpaces},    {'S', kAllSpaces.complement()},
  };
  return classes;
}

class Parser {
 public:
  Parser(Rules& rules, std::string_view pattern, RegexUse use) : rules_(rules), use_(use) {
    while (!pattern.empty()) {
      const Utf8Char c = decode_utf8(pattern);
      text_.push_back(c.code_point);
      pattern.remove_prefix(c.length);
    }
  }

  Result<NodeId> run() {
    std::vector<NodeId> alternatives;
    do {
      HEARTH_TRY(const NodeId alternative, parse_anchored());
      alternatives.push_back(alternative);
    } while (take('|'));
    if (!at_end()) return wrong("a ')' that closes nothing");
    if (has_length() && alternatives.size() > 1) return wrong_length();
    return rules_.choice(std::move(alternatives));
  }

 private:
  // A part of a sequence and how often it comes.
  struct Item {
    NodeId atom{};
    std::uint32_t min = 1, max = 1;
    bool is_char = true;  // Always one code point, as groups are not.
  };

  bool has_length() const { return use_.length_min > 0 || use_.length_max != kUnbounded; }
  std::unexpected<Error> wrong_length() const {
    return fail(Code::kInvalidArgument,
                "a length beside the expression can't be enforced, unless it is one like "
                "^[a-z][a-z0-9]*$ with a single part that repeats: write the length into it");
  }

  // Narrows the one part whose count varies to what the whole's length leaves.
  Result<> fit_length(std::vector<Item>& items) const {
    std::uint32_t n_fixed = 0;
    Item* varying = nullptr;
    for (Item& item : items) {
      if (!item.is_char || (item.min != item.max && varying != nullptr)) return wrong_length();
      if (item.min == item.max) {
        n_fixed += item.min;
      } else {
        varying = &item;
      }
    }
    Item none{.min = 0, .max = 0};
    Item& open = varying != nullptr ? *varying : none;
    const std::uint32_t least = use_.length_min > n_fixed ? use_.length_min - n_fixed : 0;
    open.min = std::max(open.min, least);
    if (use_.length_max != kUnbounded) {
      open.max = std::min(open.max, use_.length_max - std::min(use_.length_max, n_fixed));
    }
    if (open.min <= open.max && n_fixed <= use_.length_max) return {};
    return fail(Code::kInvalidArgument, "no text that the expression matches has that length");
  }

  std::unexpected<Error> wrong(std::string_view what) const {
    return fail(Code::kInvalidArgument,
                fmt::format("the regular expression has {} at position {}", what, pos_ + 1));
  }

  bool at_end() const { return pos_ >= text_.size(); }
  char32_t peek(std::size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : U'\0';
  }
  bool take(char32_t c) {
    if (at_end() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }

  NodeId spell(const CodePoints& set) {
    return use_.in_json_string ? json_chars(rules_, set) : rules_.chars(set);
  }

  NodeId anything() { return rules_.repeat(spell(CodePoints::any()), 0, kUnbounded); }

  // A whole alternative: the only place for anchors.
  Result<NodeId> parse_anchored() {
    std::vector<NodeId> parts;
    const bool at_start = take('^');
    if (!at_start && use_.is_search) parts.push_back(anything());
    HEARTH_TRY(const NodeId body, parse_sequence(0));
    parts.push_back(body);
    const bool at_finish = take('$');
    if (has_length() && use_.is_search && !(at_start && at_finish)) return wrong_length();
    if (at_finish && !at_end() && peek() != '|') return wrong("'$' inside of the expression");
    if (!at_finish && use_.is_search) parts.push_back(anything());
    return rules_.sequence(std::move(parts));
  }

  Result<NodeId> parse_choice(std::size_t depth) {
    std::vector<NodeId> alternatives;
    do {
      HEARTH_TRY(const NodeId alternative, parse_sequence(depth));
      alternatives.push_back(alternative);
    } while (take('|'));
    return rules_.choice(std::move(alternatives));
  }

  Result<NodeId> parse_sequence(std::size_t depth) {
    std::vector<Item> items;
    while (!at_end() && peek() != '|' && peek() != ')') {
      if (peek() == '$' && depth == 0) break;
      Item item{.is_char = peek() != '('};
      HEARTH_TRY(item.atom, parse_atom(depth));
      HEARTH_TRY_VOID(parse_quantifiers(item));
      items.push_back(item);
    }
    if (has_length() && depth == 0) HEARTH_TRY_VOID(fit_length(items));
    std::vector<NodeId> parts;
    for (const Item& item : items) {
      const bool is_once = item.min == 1 && item.max == 1;
      parts.push_back(is_once ? item.atom : rules_.repeat(item.atom, item.min, item.max));
    }
    return rules_.sequence(std::move(parts));
  }

  Result<NodeId> parse_atom(std::size_t depth) {
    const char32_t c = text_[pos_];
    if (c == '(') return parse_group(depth + 1);
    if (c == '[') {
      HEARTH_TRY(const CodePoints set, parse_class());
      return spell(set);
    }
    if (c == '.') {
      ++pos_;
      return spell(kLineBreaks.complement());
    }
    if (c == '^' || c == '$') return wrong("an anchor inside of the expression, not at its end,");
    if (c == '*' || c == '+' || c == '?') return wrong("a quantifier with nothing to repeat");
    if (c == '\\') {
      HEARTH_TRY(const CodePoints set, parse_escape(false));
      return spell(set);
    }
    ++pos_;
    return spell({{c, c}});
  }

  Result<NodeId> parse_group(std::size_t depth) {
    if (depth > kNestingMax)
      return wrong(fmt::format("groups nested more than {} deep", kNestingMax));
    ++pos_;
    if (take('?')) HEARTH_TRY_VOID(parse_group_kind());
    HEARTH_TRY(const NodeId body, parse_choice(depth));
    if (!take(')')) return wrong("a '(' that is never closed");
    return body;
  }

  // Behind "(?": plain or named groups pass, all others change what matches.
  Result<> parse_group_kind() {
    if (take(':')) return {};
    if (peek() == 'P' && peek(1) == '<') ++pos_;
    if (peek() == '<' && peek(1) != '=' && peek(1) != '!') {
      while (!at_end() && peek() != '>') ++pos_;
      if (take('>')) return {};
      return wrong("a group's name that does not end");
    }
    return wrong("look-around, a flag or another special group, which is not supported,");
  }

  Result<> parse_quantifiers(Item& item) {
    for (std::size_t n = 0;; ++n) {
      std::uint32_t min = 0, max = kUnbounded;
      if (take('*')) {
      } else if (take('+')) {
        min = 1;
      } else if (take('?')) {
        max = 1;
      } else {
        HEARTH_TRY(const bool has_bounds, parse_bounds(min, max));
        if (!has_bounds) return {};
      }
      if (n > 0) return wrong("a quantifier behind a quantifier");
      if (peek() == '+') return wrong("a possessive quantifier, which is not supported,");
      (void)take('?');
      item.min = min;
      item.max = max;
    }
  }

  // {m}, {m,} or {m,n}; any other brace stands for itself.
  Result<bool> parse_bounds(std::uint32_t& min, std::uint32_t& max) {
    const std::size_t begin = pos_;
    if (!take('{')) return false;
    const std::optional<std::uint32_t> least = parse_number();
    const bool has_comma = take(',');
    const std::optional<std::uint32_t> most = has_comma ? parse_number() : least;
    if (!least || !take('}')) {
      pos_ = begin;
      if (pos_ > 0 && text_[pos_] == '{' && least.has_value())
        return wrong("a repetition that does not end");
      return false;
    }
    min = *least;
    max = most ? *most : has_comma ? kUnbounded : *least;
    if (min > kRepetitionMax || (max != kUnbounded && max > kRepetitionMax)) {
      return wrong(fmt::format("a repetition of more than {}", kRepetitionMax));
    }
    if (min > max) return wrong("a repetition whose least is above its most");
    return true;
  }

  std::optional<std::uint32_t> parse_number() {
    std::optional<std::uint32_t> number;
    for (; peek() >= '0' && peek() <= '9'; ++pos_) {
      const std::uint32_t digit = peek() - U'0';
      number = std::min(number.value_or(0) * 10 + digit, kRepetitionMax + 1);
    }
    return number;
  }

  Result<CodePoints> parse_class() {
    ++pos_;
    const bool is_negated = take('^');
    CodePoints set;
    // As in ECMAScript "[]" is empty; a ']' in a class needs its backslash.
    while (!at_end() && peek() != ']') HEARTH_TRY_VOID(parse_class_item(set));
    if (!take(']')) return wrong("a '[' that is never closed");
    return is_negated ? set.complement() : set;
  }

  Result<> parse_class_item(CodePoints& set) {
    HEARTH_TRY(const CodePoints first, parse_class_atom());
    const bool is_range = peek() == '-' && peek(1) != ']' && pos_ + 1 < text_.size();
    if (!is_range) {
      set.add(first);
      return {};
    }
    ++pos_;
    HEARTH_TRY(const CodePoints last, parse_class_atom());
    const auto low = single(first), high = single(last);
    if (!low || !high) return wrong("a range in a class whose end is a class");
    if (*low > *high) return wrong("a range in a class that runs backwards");
    set.add(*low, *high);
    return {};
  }

  Result<CodePoints> parse_class_atom() {
    if (peek() == '\\') return parse_escape(true);
    const char32_t c = text_[pos_++];
    return CodePoints{{c, c}};
  }

  static std::optional<char32_t> single(const CodePoints& set) {
    const auto& ranges = set.ranges();
    if (ranges.size() != 1 || ranges[0].first != ranges[0].last) return std::nullopt;
    return ranges[0].first;
  }

  Result<CodePoints> parse_escape(bool in_class) {
    ++pos_;
    if (at_end()) return wrong("a backslash with nothing behind it");
    const char32_t c = text_[pos_++];
    for (const NamedClass& named : named_classes()) {
      if (named.letter == c) return named.set;
    }
    if (c == 'b' && in_class) return CodePoints{{'\b', '\b'}};
    if (c == 'x') return parse_hex(2);
    if (c == 'u') return peek() == '{' ? parse_braced_hex() : parse_hex(4);
    if (c == 'c') {
      const char32_t letter = at_end() ? U'\0' : text_[pos_++];
      return CodePoints{{letter % 32, letter % 32}};
    }
    struct Row {
      char32_t letter, value;
    };
    static constexpr Row kControls[] = {{'t', '\t'}, {'n', '\n'}, {'r', '\r'},
                                        {'f', '\f'}, {'v', '\v'}, {'0', 0}};
    for (const Row& row : kControls) {
      if (row.letter == c) return CodePoints{{row.value, row.value}};
    }
    if (kWordChars.contains(c) && c != '_') {
      --pos_;
      return wrong(fmt::format("'\\{}', which is not supported,", static_cast<char>(c)));
    }
    return CodePoints{{c, c}};
  }

  Result<CodePoints> parse_hex(std::size_t n_digits) {
    char32_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i) {
      const int digit = hex_digit(peek());
      if (digit < 0) return wrong("a code point with too few hexadecimal digits");
      value = value * 16 + static_cast<char32_t>(digit);
      ++pos_;
    }
    return CodePoints{{value, value}};
  }

  Result<CodePoints> parse_braced_hex() {
    ++pos_;
    char32_t value = 0;
    while (!at_end() && peek() != '}') {
      const int digit = hex_digit(peek());
      value = value * 16 + static_cast<char32_t>(digit);
      if (digit < 0 || value > kCodePointMax) return wrong("a code point that is none");
      ++pos_;
    }
    if (!take('}')) return wrong("a code point that does not end");
    return CodePoints{{value, value}};
  }

  static int hex_digit(char32_t c) {
    if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A' + 10);
    return -1;
  }

  Rules& rules_;
  const RegexUse use_;
  std::u32string text_;
  std::size_t pos_ = 0;
};

}  // namespace

Result<NodeId> add_regex(Rules& rules, std::string_view pattern, RegexUse use) {
  if (!is_valid_utf8(pattern)) {
    return fail(Code::kInvalidArgument, "the regular expression is not valid UTF-8");
  }
  return Parser(rules, pattern, use).run();
}

}  // namespace hearth::text::grammar

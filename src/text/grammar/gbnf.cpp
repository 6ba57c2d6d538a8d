#include "text/grammar/gbnf.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "text/grammar/automaton.h"
#include "text/grammar/grammar.h"

namespace hearth::text::grammar {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Rules> run() {
    skip_space(true);
    while (!at_end()) {
      HEARTH_TRY_VOID(parse_rule());
      skip_space(true);
    }
    const auto root = names_.find("root");
    if (root == names_.end()) {
      return fail(Code::kInvalidArgument,
                  "the grammar has no rule 'root', with which answers begin");
    }
    rules_.set_root(root->second);
    return std::move(rules_);
  }

 private:
  std::unexpected<Error> wrong(std::string_view what) const {
    const auto line = std::ranges::count(text_.substr(0, pos_), '\n') + 1;
    return fail(Code::kInvalidArgument, fmt::format("line {} of the grammar has {}", line, what));
  }

  bool at_end() const { return pos_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[pos_]; }
  bool take(std::string_view token) {
    if (!text_.substr(std::min(pos_, text_.size())).starts_with(token)) return false;
    pos_ += token.size();
    return true;
  }

  void skip_space(bool over_lines) {
    for (; !at_end(); ++pos_) {
      const char c = text_[pos_];
      if (c == '#') {
        while (!at_end() && text_[pos_] != '\n') ++pos_;
        --pos_;
      } else if (c != ' ' && c != '\t' && !(over_lines && (c == '\n' || c == '\r'))) {
        return;
      }
    }
  }

  std::string_view parse_name() {
    const std::size_t begin = pos_;
    while (!at_end() && is_name_char(text_[pos_])) ++pos_;
    return text_.substr(begin, pos_ - begin);
  }

  RuleId rule_of(std::string_view name) {
    const auto known = names_.find(name);
    if (known != names_.end()) return known->second;
    const RuleId id = rules_.declare(std::string(name));
    names_.emplace(name, id);
    return id;
  }

  Result<> parse_rule() {
    const std::string_view name = parse_name();
    if (name.empty()) return wrong("no rule's name where one should begin");
    skip_space(false);
    if (!take("::="))
      return wrong(fmt::format("no '::=' behind the name '{}'", name.substr(0, 40)));
    skip_space(true);
    const RuleId id = rule_of(name);
    if (rules_.n_rules() > 0 && rules_[id].is_defined) {
      return wrong(fmt::format("the rule '{}' for the second time", name.substr(0, 40)));
    }
    HEARTH_TRY(const NodeId body, parse_choice(0));
    rules_.define(id, body);
    skip_space(false);
    if (!at_end() && peek() != '\n' && peek() != '\r') return wrong("something that ends no rule");
    return {};
  }

  Result<NodeId> parse_choice(std::size_t depth) {
    if (depth > kNestingMax)
      return wrong(fmt::format("groups nested more than {} deep", kNestingMax));
    std::vector<NodeId> alternatives;
    do {
      const std::size_t begin = pos_;
      skip_space(true);
      if (begins_rule()) pos_ = begin;  // An alternative that is empty, at the end of its line.
      HEARTH_TRY(const NodeId alternative, parse_sequence(depth));
      alternatives.push_back(alternative);
    } while (take_bar(depth));
    return rules_.choice(std::move(alternatives));
  }

  // Whether a name and `::=` come next.
  bool begins_rule() {
    const std::size_t begin = pos_;
    const bool has_name = !parse_name().empty();
    skip_space(false);
    const bool begins = has_name && take("::=");
    pos_ = begin;
    return begins;
  }

  // Also at the beginning of the next line.
  bool take_bar(std::size_t depth) {
    if (take("|")) return true;
    const std::size_t begin = pos_;
    skip_space(true);
    if (take("|")) return true;
    if (depth == 0) pos_ = begin;
    return false;
  }

  Result<NodeId> parse_sequence(std::size_t depth) {
    std::vector<NodeId> parts;
    for (;;) {
      const std::size_t begin = pos_;
      HEARTH_TRY(const std::optional<NodeId> item, parse_item(depth));
      if (!item) {
        pos_ = begin;
        return rules_.sequence(std::move(parts));
      }
      HEARTH_TRY(const NodeId repeated, parse_repetition(*item));
      parts.push_back(repeated);
      skip_space(depth > 0);
    }
  }

  // Unset where the sequence ends.
  Result<std::optional<NodeId>> parse_item(std::size_t depth) {
    const char c = peek();
    if (c == '"') return parse_literal();
    if (c == '[') return parse_class();
    if (c == '(') {
      ++pos_;
      HEARTH_TRY(const NodeId group, parse_choice(depth + 1));
      skip_space(true);
      if (!take(")")) return wrong("a '(' that is never closed");
      return group;
    }
    if (c == '.') {
      ++pos_;
      return rules_.chars(CodePoints::any());
    }
    if (c == '<' || c == '!') return wrong("a token in angle brackets, which is not supported");
    if (begins_rule()) return wrong("a rule inside of another one");
    const std::string_view name = parse_name();
    if (name.empty()) return std::nullopt;
    return rules_.rule(rule_of(name));
  }

  Result<NodeId> parse_repetition(NodeId node) {
    std::uint32_t min = 0, max = kUnbounded;
    if (take("*")) return rules_.repeat(node, min, max);
    if (take("+")) return rules_.repeat(node, 1, max);
    if (take("?")) return rules_.repeat(node, 0, 1);
    if (!take("{")) return node;
    skip_space(true);
    const std::optional<std::uint32_t> least = parse_number();
    skip_space(true);
    const bool has_comma = take(",");
    skip_space(true);
    const std::optional<std::uint32_t> most = has_comma ? parse_number() : least;
    skip_space(true);
    if (!take("}") || (!least && !most))
      return wrong("a repetition that is not {m}, {m,} or {m,n}");
    min = least.value_or(0);
    max = most.value_or(kUnbounded);
    if (min > kRepetitionMax || (most && max > kRepetitionMax)) {
      return wrong(fmt::format("a repetition of more than {}", kRepetitionMax));
    }
    if (min > max) return wrong("a repetition whose least is above its most");
    return rules_.repeat(node, min, max);
  }

  std::optional<std::uint32_t> parse_number() {
    std::optional<std::uint32_t> number;
    for (; peek() >= '0' && peek() <= '9'; ++pos_) {
      number = std::min(number.value_or(0) * 10 + static_cast<std::uint32_t>(peek() - '0'),
                        kRepetitionMax + 1);
    }
    return number;
  }

  Result<std::optional<NodeId>> parse_literal() {
    ++pos_;
    std::string bytes;
    while (peek() != '"') {
      HEARTH_TRY(const char32_t c, parse_char());
      append_utf8(bytes, c);
    }
    ++pos_;
    return rules_.bytes(bytes);
  }

  Result<std::optional<NodeId>> parse_class() {
    ++pos_;
    const bool is_negated = take("^");
    CodePoints set;
    while (peek() != ']') {
      HEARTH_TRY(const char32_t first, parse_char());
      char32_t last = first;
      const bool is_range = peek() == '-' && pos_ + 1 < text_.size() && text_[pos_ + 1] != ']';
      if (is_range) {
        ++pos_;
        HEARTH_TRY(last, parse_char());
        if (last < first) return wrong("a range in a class that runs backwards");
      }
      set.add(first, last);
    }
    ++pos_;
    return rules_.chars(is_negated ? set.complement() : std::move(set));
  }

  // One character of a literal or a class.
  Result<char32_t> parse_char() {
    if (at_end()) return wrong("a literal or a class that does not end");
    if (peek() != '\\') {
      const Utf8Char c = decode_utf8(text_.substr(pos_));
      pos_ += c.length;
      return c.code_point;
    }
    struct Row {
      char letter;
      char32_t value;
    };
    static constexpr Row kEscapes[] = {{'n', '\n'},  {'r', '\r'}, {'t', '\t'},
                                       {'\\', '\\'}, {'"', '"'},  {'[', '['},
                                       {']', ']'},   {'^', '^'},  {'-', '-'}};
    ++pos_;
    const char letter = peek();
    ++pos_;
    for (const Row& row : kEscapes) {
      if (row.letter == letter) return row.value;
    }
    if (letter == 'x') return parse_hex(2);
    if (letter == 'u') return parse_hex(4);
    if (letter == 'U') return parse_hex(8);
    return wrong("a backslash before something that is no escape");
  }

  Result<char32_t> parse_hex(std::size_t n_digits) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < n_digits; ++i, ++pos_) {
      const char c = peek();
      const bool is_digit = c >= '0' && c <= '9';
      const char lower = static_cast<char>(c | 0x20);
      if (!is_digit && (lower < 'a' || lower > 'f')) return wrong("an escape with too few digits");
      value = value * 16 + static_cast<std::uint64_t>(is_digit ? c - '0' : lower - 'a' + 10);
    }
    const bool is_scalar = value <= kCodePointMax && (value < 0xD800 || value > 0xDFFF);
    if (!is_scalar) return wrong("an escape that is no code point");
    return static_cast<char32_t>(value);
  }

  const std::string_view text_;
  std::size_t pos_ = 0;
  Rules rules_;
  std::map<std::string, RuleId, std::less<>> names_;
};

Result<> check_size(std::string_view what, std::string_view source) {
  if (source.size() <= kSourceBytesMax) return {};
  return fail(Code::kInvalidArgument, fmt::format("the {} has {} bytes, at most {} are taken", what,
                                                  source.size(), kSourceBytesMax));
}

}  // namespace

Result<Rules> parse_gbnf(std::string_view text) { return Parser(text).run(); }

Result<GrammarPtr> compile_gbnf(std::string_view text) {
  HEARTH_TRY_VOID(check_size("grammar", text));
  if (!is_valid_utf8(text)) return fail(Code::kInvalidArgument, "the grammar is not valid UTF-8");
  HEARTH_TRY(Rules rules, parse_gbnf(text));
  HEARTH_TRY(Automaton automaton, compile(std::move(rules)));
  return std::make_shared<const Grammar>(
      Grammar{fmt::format("gbnf\n{}", text), std::move(automaton)});
}

}  // namespace hearth::text::grammar

// See lexer.h.  The rules are those of Jinja 3.1's regular expressions, written out.
#include "text/jinja/lexer.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

std::unexpected<Error> syntax_error(std::uint32_t line, std::string_view what) {
  return fail(Code::kInvalidArgument, fmt::format("template line {}: {}", line, what));
}

namespace {

// Longest first where one begins another.
constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::uint32_t count_lines(std::string_view text) {
  return static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n'));
}

class Lexer {
 public:
  Lexer(std::string_view source, Arena& arena) : source_(source), arena_(arena) {}

  Result<std::vector<Token>> run();

 private:
  struct Tag {
    std::size_t at;    // Of its first brace.
    char kind;         // The second character: '%', '{' or '#'.
    char sign;         // '-', '+' or 0.
    std::size_t body;  // Behind the sign.
  };

  std::string_view rest() const { return source_.substr(pos_); }
  bool starts_with(std::string_view text) const { return rest().substr(0, text.size()) == text; }
  void push(TokenKind kind, std::string_view text) { tokens_.push_back({kind, line_, text}); }
  void advance(std::size_t to);
  void skip_space();

  bool find_tag(Tag& tag) const;
  void push_data(std::string_view text, const Tag& tag);
  Result<> comment(const Tag& tag);
  bool raw_begin(const Tag& tag);
  Result<> raw();
  Result<> inside(char closing);
  bool end_of_tag(char closing);
  Result<> expression_token();
  bool number();
  bool name();
  Result<bool> string();
  Result<bool> op();
  Result<std::string_view> decode(std::string_view body);

  std::string_view source_;
  Arena& arena_;
  std::size_t pos_ = 0;
  std::uint32_t line_ = 1;
  bool line_starting_ = true;  // What was read last ended with a newline.
  std::vector<char> open_;     // Closing brackets that are due.
  std::vector<Token> tokens_;
};

void Lexer::advance(std::size_t to) {
  line_ += count_lines(source_.substr(pos_, to - pos_));
  pos_ = to;
}

void Lexer::skip_space() { advance(source_.size() - strip_left(rest()).size()); }

bool Lexer::find_tag(Tag& tag) const {
  for (std::size_t at = source_.find('{', pos_); at != std::string_view::npos;
       at = source_.find('{', at + 1)) {
    if (at + 1 >= source_.size()) return false;
    const char kind = source_[at + 1];
    if (kind != '%' && kind != '{' && kind != '#') continue;
    const char next = at + 2 < source_.size() ? source_[at + 2] : '\0';
    const bool has_sign = next == '-' || next == '+';
    tag = {at, kind, has_sign ? next : '\0', at + 2 + (has_sign ? 1 : 0)};
    return true;
  }
  return false;
}

// Pushes the text before a tag, without the blanks that the tag takes with it.
void Lexer::push_data(std::string_view text, const Tag& tag) {
  std::string_view kept = text;
  if (tag.sign == '-') {
    kept = strip_right(text);
  } else if (tag.sign != '+' && tag.kind != '{') {
    const std::size_t newline = text.rfind('\n');
    const std::size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    const bool at_line_start = line_start > 0 || line_starting_;
    if (at_line_start && strip_left(text.substr(line_start)).empty()) {
      kept = text.substr(0, line_start);
    }
  }
  if (!kept.empty()) push(TokenKind::kData, kept);
}

Result<> Lexer::comment(const Tag& tag) {
  advance(tag.body);
  if (rest().empty()) return {};  // Jinja does not mind a comment that only begins.
  const std::size_t close = source_.find("#}", pos_);
  if (close == std::string_view::npos) return syntax_error(line_, "a comment is never closed");
  const char sign = close > pos_ ? source_[close - 1] : '\0';
  advance(close + 2);
  line_starting_ = false;
  if (sign == '-') {
    const std::size_t before = pos_;
    skip_space();
    line_starting_ = pos_ > before && source_[pos_ - 1] == '\n';
  } else if (sign != '+' && starts_with("\n")) {
    advance(pos_ + 1);
    line_starting_ = true;
  }
  return {};
}

// Steps over `raw %}` and says whether it was there.
bool Lexer::raw_begin(const Tag& tag) {
  std::string_view text = strip_left(source_.substr(tag.body));
  if (text.substr(0, 3) != "raw") return false;
  text = strip_left(text.substr(3));
  const bool strips = text.substr(0, 3) == "-%}";
  if (!strips && text.substr(0, 2) != "%}") return false;
  advance(source_.size() - text.size() + (strips ? 3 : 2));
  const std::size_t before = pos_;
  if (strips) skip_space();
  line_starting_ = pos_ > before && source_[pos_ - 1] == '\n';
  return true;
}

Result<> Lexer::raw() {
  if (rest().empty()) return {};  // As with comments.
  const std::size_t begin = pos_;
  for (std::size_t at = source_.find("{%", pos_); at != std::string_view::npos;
       at = source_.find("{%", at + 1)) {
    const char next = at + 2 < source_.size() ? source_[at + 2] : '\0';
    const bool has_sign = next == '-' || next == '+';
    std::string_view text = strip_left(source_.substr(at + 2 + (has_sign ? 1 : 0)));
    if (text.substr(0, 6) != "endraw") continue;
    text = strip_left(text.substr(6));
    const bool has_end_sign = !text.empty() && (text.front() == '-' || text.front() == '+');
    if (text.substr(has_end_sign ? 1 : 0, 2) != "%}") continue;
    push_data(source_.substr(begin, at - begin), {at, '%', has_sign ? next : '\0', 0});
    advance(source_.size() - text.size());
    end_of_tag('%');
    return {};
  }
  return syntax_error(line_, "a raw block is never closed");
}

// Steps over the end of a tag and the whitespace that goes with it; false if it is not there.
bool Lexer::end_of_tag(char closing) {
  const char end[] = {closing, '}'};
  const std::string_view plain(end, 2);
  const char sign = rest().empty() ? '\0' : rest().front();
  const bool is_block = closing == '%';
  const bool has_sign = sign == '-' || (sign == '+' && is_block);
  if (source_.substr(pos_ + (has_sign ? 1 : 0), 2) != plain) return false;

  advance(pos_ + (has_sign ? 3 : 2));
  const std::size_t before = pos_;
  if (has_sign && sign == '-') {
    skip_space();
  } else if (!has_sign && is_block && starts_with("\n")) {
    advance(pos_ + 1);
  }
  line_starting_ = pos_ > before && source_[pos_ - 1] == '\n';
  return true;
}

Result<> Lexer::inside(char closing) {
  while (true) {
    const std::uint32_t line = line_;
    if (open_.empty() && end_of_tag(closing)) {
      tokens_.push_back(
          {closing == '%' ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, line, ""});
      return {};
    }
    if (rest().empty()) {
      return syntax_error(line_, fmt::format("a tag is never closed with '{}}}'", closing));
    }
    HEARTH_TRY_VOID(expression_token());
  }
}

Result<> Lexer::expression_token() {
  const std::size_t before = pos_;
  skip_space();
  if (pos_ > before) return {};
  if (number() || name()) return {};
  HEARTH_TRY(bool found, string());
  if (found) return {};
  HEARTH_TRY(found, op());
  if (found) return {};
  return syntax_error(line_, fmt::format("unexpected character '{}'", char_at(rest(), 0)));
}

// Digits with single underscores between them; returns the end.
std::size_t digits_end(std::string_view text, std::size_t from, std::string_view digits) {
  std::size_t end = from;
  while (end < text.size()) {
    const bool separator = text[end] == '_' && end > from && end + 1 < text.size();
    const char c = separator ? text[end + 1] : text[end];
    if (digits.find(c) == std::string_view::npos) break;
    end += separator ? 2 : 1;
  }
  return end;
}

constexpr std::string_view kDecimalDigits = "0123456789";

// The end of a float that begins `text`, or 0.
std::size_t float_end(std::string_view text) {
  std::size_t end = digits_end(text, 0, kDecimalDigits);
  bool is_float = false;
  if (end + 1 < text.size() && text[end] == '.' && is_digit(text[end + 1])) {
    end = digits_end(text, end + 1, kDecimalDigits);
    is_float = true;
  }
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    std::size_t exponent = end + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (exponent < text.size() && is_digit(text[exponent])) {
      end = digits_end(text, exponent, kDecimalDigits);
      is_float = true;
    }
  }
  return is_float ? end : 0;
}

struct IntegerBase {
  char letter;
  std::string_view digits;
};

constexpr IntegerBase kIntegerBases[] = {
    {'b', "01"}, {'o', "01234567"}, {'x', "0123456789abcdefABCDEF"}};

std::size_t integer_end(std::string_view text) {
  if (text.front() != '0') return digits_end(text, 0, kDecimalDigits);
  for (const IntegerBase& base : kIntegerBases) {
    if (text.size() < 3 || (text[1] | 0x20) != base.letter) continue;
    const std::size_t from = text[2] == '_' ? 3 : 2;
    const std::size_t end = digits_end(text, from, base.digits);
    if (end > from) return end;
  }
  return digits_end(text, 0, "0");
}

bool Lexer::number() {
  if (!is_digit(rest().front())) return false;
  // `x.1.5` is two subscripts, no float.
  const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';
  const std::size_t as_float = after_dot ? 0 : float_end(rest());
  const std::size_t end = as_float > 0 ? as_float : integer_end(rest());
  push(as_float > 0 ? TokenKind::kFloat : TokenKind::kInteger, rest().substr(0, end));
  pos_ += end;
  return true;
}

bool Lexer::name() {
  std::size_t end = 0;
  while (end < rest().size()) {
    const Utf8Char c = decode_utf8(rest().substr(end));
    if (!has_flag(c.code_point, kIdentifier)) break;
    end += c.length;
  }
  if (end == 0) return false;
  push(TokenKind::kName, rest().substr(0, end));
  pos_ += end;
  return true;
}

Result<bool> Lexer::string() {
  const char quote = rest().front();
  if (quote != '"' && quote != '\'') return false;
  std::size_t end = pos_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) return syntax_error(line_, "a string is never closed");
  HEARTH_TRY(const std::string_view value, decode(source_.substr(pos_ + 1, end - pos_ - 1)));
  push(TokenKind::kString, value);
  advance(end + 1);
  return true;
}

Result<bool> Lexer::op() {
  for (const std::string_view candidate : kOperators) {
    if (!starts_with(candidate)) continue;
    const char c = candidate.front();
    if (c == '(') open_.push_back(')');
    if (c == '[') open_.push_back(']');
    if (c == '{') open_.push_back('}');
    if (c == ')' || c == ']' || c == '}') {
      if (open_.empty() || open_.back() != c) {
        return syntax_error(line_, fmt::format("unexpected '{}'", c));
      }
      open_.pop_back();
    }
    push(TokenKind::kOperator, rest().substr(0, candidate.size()));
    pos_ += candidate.size();
    return true;
  }
  return false;
}

// --- Escapes in string literals, as Python has them ----------------------------------------------

struct SimpleEscape {
  char letter;
  char value;
};

constexpr SimpleEscape kSimpleEscapes[] = {{'\\', '\\'}, {'\'', '\''}, {'"', '"'},  {'a', '\a'},
                                           {'b', '\b'},  {'f', '\f'},  {'n', '\n'}, {'r', '\r'},
                                           {'t', '\t'},  {'v', '\v'}};

struct HexEscape {
  char letter;
  std::size_t n_digits;
};

constexpr HexEscape kHexEscapes[] = {{'x', 2}, {'u', 4}, {'U', 8}};

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Reads one escape behind its backslash and returns its length; 0 if it is malformed.
std::size_t decode_escape(std::string_view text, std::string& out) {
  const char letter = text.front();
  if (letter == '\n') return 1;
  for (const SimpleEscape& escape : kSimpleEscapes) {
    if (escape.letter == letter) return out.push_back(escape.value), 1;
  }
  if (letter >= '0' && letter <= '7') {
    char32_t code = 0;
    std::size_t n = 0;
    while (n < 3 && n < text.size() && text[n] >= '0' && text[n] <= '7') {
      code = code * 8 + static_cast<char32_t>(text[n++] - '0');
    }
    append_utf8(out, code);
    return n;
  }
  for (const HexEscape& escape : kHexEscapes) {
    if (escape.letter != letter) continue;
    if (text.size() <= escape.n_digits) return 0;
    char32_t code = 0;
    for (std::size_t i = 1; i <= escape.n_digits; ++i) {
      if (hex_value(text[i]) < 0) return 0;
      code = code * 16 + static_cast<char32_t>(hex_value(text[i]));
    }
    if (code > 0x10FFFF) return 0;
    append_utf8(out, code);
    return escape.n_digits + 1;
  }
  if (letter == 'N') return 0;  // Characters by their Unicode names: not in any template.
  out.push_back('\\');          // Python keeps what it does not know.
  return out.push_back(letter), 1;
}

Result<std::string_view> Lexer::decode(std::string_view body) {
  if (body.find('\\') == std::string_view::npos) return body;
  std::string out;
  for (std::size_t i = 0; i < body.size();) {
    if (body[i] != '\\') {
      out.push_back(body[i++]);
      continue;
    }
    const std::size_t length = decode_escape(body.substr(i + 1), out);
    if (length == 0) return syntax_error(line_, "a malformed escape in a string");
    i += 1 + length;
  }
  return arena_.copy(out);
}

Result<std::vector<Token>> Lexer::run() {
  Tag tag{};
  while (find_tag(tag)) {
    const std::string_view text = source_.substr(pos_, tag.at - pos_);
    push_data(text, tag);
    advance(tag.at);
    if (tag.kind == '#') {
      HEARTH_TRY_VOID(comment(tag));
    } else if (tag.kind == '%' && raw_begin(tag)) {
      HEARTH_TRY_VOID(raw());
    } else {
      push(tag.kind == '%' ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, "");
      advance(tag.body);
      HEARTH_TRY_VOID(inside(tag.kind == '%' ? '%' : '}'));
    }
  }
  if (!rest().empty()) push(TokenKind::kData, rest());
  advance(source_.size());
  push(TokenKind::kEnd, "");
  return std::move(tokens_);
}

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source, Arena& arena) {
  return Lexer(source, arena).run();
}

}  // namespace hearth::text::jinja

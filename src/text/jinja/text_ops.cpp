// See text_ops.h.
#include "text/jinja/text_ops.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_space_at(std::string_view text, std::size_t offset) {
  return has_flag(decode_utf8(text.substr(offset)).code_point, kSpace);
}

std::size_t unlimited_if_negative(std::int64_t count) {
  return count < 0 ? SIZE_MAX : static_cast<std::size_t>(count);
}

}  // namespace

std::size_t find_text(std::string_view text, std::string_view what, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (what.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, what.data(), what.size());
  if (!found) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

// Knuth, Morris and Pratt's search, from the right: `border[n]` is how many of the last n
// characters of `what` match again when they have matched and the next one does not.
std::size_t find_last_text(std::string_view text, std::string_view what) {
  constexpr std::size_t kShortBytes = 32;
  if (what.size() <= kShortBytes) return text.rfind(what);
  const auto from_right = [](std::string_view s, std::size_t i) { return s[s.size() - 1 - i]; };
  std::vector<std::size_t> border(what.size() + 1, 0);
  for (std::size_t i = 1, matched = 0; i < what.size(); ++i) {
    while (matched > 0 && from_right(what, i) != from_right(what, matched)) {
      matched = border[matched];
    }
    if (from_right(what, i) == from_right(what, matched)) ++matched;
    border[i + 1] = matched;
  }
  for (std::size_t i = 0, matched = 0; i < text.size(); ++i) {
    while (matched > 0 && from_right(text, i) != from_right(what, matched)) {
      matched = border[matched];
    }
    if (from_right(text, i) == from_right(what, matched)) ++matched;
    if (matched == what.size()) return text.size() - 1 - i;
  }
  return std::string_view::npos;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    std::size_t end = i + c.length;
    if (is_line_end(c.code_point)) {
      if (c.code_point == '\r' && end < text.size() && text[end] == '\n') ++end;
      lines.push_back(text.substr(start, (keep_ends ? end : i) - start));
      start = end;
    }
    i = end;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

std::vector<std::string_view> split_space(std::string_view text, std::int64_t splits_max) {
  std::vector<std::string_view> parts;
  text = strip_left(text);
  while (!text.empty()) {
    if (parts.size() == unlimited_if_negative(splits_max)) {
      parts.push_back(text);
      break;
    }
    std::size_t end = 0;
    while (end < text.size() && !is_space_at(text, end)) end += char_at(text, end).size();
    parts.push_back(text.substr(0, end));
    text = strip_left(text.substr(end));
  }
  return parts;
}

std::vector<std::string_view> split_space_from_right(std::string_view text,
                                                     std::int64_t splits_max) {
  std::vector<std::string_view> parts;
  text = strip_right(text);
  while (!text.empty()) {
    if (parts.size() == unlimited_if_negative(splits_max)) {
      parts.push_back(text);
      break;
    }
    std::size_t begin = text.size();
    while (begin > 0 && !is_space_at(text, last_char_offset(text.substr(0, begin)))) {
      begin = last_char_offset(text.substr(0, begin));
    }
    parts.push_back(text.substr(begin));
    text = strip_right(text.substr(0, begin));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       std::int64_t splits_max) {
  std::vector<std::string_view> parts;
  while (parts.size() < unlimited_if_negative(splits_max)) {
    const std::size_t found = find_text(text, separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator,
                                                  std::int64_t splits_max) {
  std::vector<std::string_view> parts;
  while (parts.size() < unlimited_if_negative(splits_max)) {
    const std::size_t found = find_last_text(text, separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

namespace {

// An empty text is found before each character and at the end.
Result<Value> insert_between(Runtime& runtime, std::string_view text, std::string_view what,
                             std::size_t count_max, bool is_markup) {
  TextBuilder out(runtime);
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size() && !out.is_full();) {
    if (count++ < count_max) out.add(what);
    const std::string_view one = char_at(text, i);
    out.add(one);
    i += one.size();
  }
  if (count < count_max) out.add(what);
  return out.finish(is_markup);
}

}  // namespace

Result<Value> replace_text(Runtime& runtime, std::string_view text, std::string_view from,
                           std::string_view to, std::int64_t count_max, bool is_markup) {
  const std::size_t limit = unlimited_if_negative(count_max);
  if (from.empty()) return insert_between(runtime, text, to, limit, is_markup);
  TextBuilder out(runtime);
  for (std::size_t count = 0; count < limit && !out.is_full(); ++count) {
    const std::size_t found = find_text(text, from);
    if (found == std::string_view::npos) break;
    out.add(text.substr(0, found));
    out.add(to);
    text.remove_prefix(found + from.size());
  }
  out.add(text);
  return out.finish(is_markup);
}

// --- Numbers -------------------------------------------------------------------------------------

namespace {

struct Prefix {
  char letter;
  unsigned base;
};

constexpr Prefix kPrefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};

// Steps over "0x" and its like where the base allows it; base 0 takes the base from it.
bool take_prefix(std::string_view& text, unsigned& base) {
  if (text.size() >= 2 && text[0] == '0') {
    for (const Prefix& prefix : kPrefixes) {
      if ((text[1] | 0x20) != prefix.letter || (base != 0 && base != prefix.base)) continue;
      base = prefix.base;
      text.remove_prefix(2);
      return true;
    }
  }
  if (base == 0) base = 10;
  return false;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

// Whether underscores stand only between digits (or behind a prefix).
bool underscores_are_well_placed(std::string_view text, bool after_prefix) {
  char before = after_prefix ? '0' : '_';
  for (char c : text) {
    if (c == '_' && before == '_') return false;
    before = c;
  }
  return before != '_';
}

}  // namespace

Result<std::optional<WideInt>> parse_integer(std::string_view text, unsigned base) {
  text = strip_right(strip_left(text));
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const bool any_base = base == 0;
  const bool has_prefix = take_prefix(text, base);
  if (text.empty() || !underscores_are_well_placed(text, has_prefix)) return std::nullopt;
  WideInt value = 0;
  bool overflows = false;
  for (char c : text) {
    if (c == '_') continue;
    const int digit = digit_value(c);
    if (digit >= static_cast<int>(base)) return std::nullopt;
    overflows = overflows || __builtin_mul_overflow(value, static_cast<WideInt>(base), &value) ||
                __builtin_add_overflow(value, static_cast<WideInt>(digit), &value);
  }
  if (overflows) return template_error("an integer outgrows 128 bits");
  // A literal without a prefix has no leading zeros.
  if (any_base && !has_prefix && text.front() == '0' && value != 0) return std::nullopt;
  return negative ? -value : value;
}

std::optional<double> parse_float(std::string_view text) {
  text = strip_right(strip_left(text));
  if (text.find('_') != std::string_view::npos && !underscores_are_well_placed(text, false)) {
    return std::nullopt;
  }
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits.push_back(text[i]);
      continue;
    }
    const bool between_digits = digit_value(text[i - 1]) < 10 && digit_value(text[i + 1]) < 10;
    if (!between_digits) return std::nullopt;
  }
  std::string_view unsigned_part = digits;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) unsigned_part.remove_prefix(1);
  const std::string word = to_lower(unsigned_part);
  const bool is_word = word == "inf" || word == "infinity" || word == "nan";
  const bool is_number = !word.empty() &&
                         word.find_first_not_of("0123456789.e+-") == std::string::npos &&
                         (digit_value(word[0]) < 10 || word[0] == '.');
  if (!is_word && !is_number) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (end != digits.c_str() + digits.size()) return std::nullopt;
  return value;
}

Result<Value> list_of_texts(Runtime& runtime, const std::vector<std::string_view>& texts,
                            bool is_markup) {
  HEARTH_TRY_VOID(runtime.charge(texts.size() / 8));
  std::vector<Value> items;
  items.reserve(texts.size());
  for (std::string_view text : texts) items.push_back(Value::string(text, is_markup));
  return runtime.list(items);
}

}  // namespace hearth::text::jinja

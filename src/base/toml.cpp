#define TOML_IMPLEMENTATION
#include "base/toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kMarks = "~^|`";  // TOML's own signs are others.

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// What an escape begins with: a sign that no \u of the text names, so that it comes out of the parser only where it
// was put in.
std::optional<char> mark_for(std::string_view text) {
  const std::string folded = lower(text);
  for (const char mark : kMarks) {
    if (folded.find(fmt::format("00{:02x}", static_cast<unsigned>(mark))) == std::string::npos) return mark;
  }
  return std::nullopt;
}

// Each byte beyond ASCII, and the mark itself, as the mark and two hexadecimal digits.
std::string escaped(std::string_view text, char mark) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_ascii(c) && c != mark) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "{}{:02x}", mark, static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string plain(std::string_view text, char mark) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const bool is_escape = text[i] == mark && i + 2 < text.size() &&
                           std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3;
    out += is_escape ? static_cast<char>(byte) : text[i];
    i += is_escape ? 2 : 0;
  }
  return out;
}

// Takes the escapes out of what was parsed.
class Restorer {
 public:
  explicit Restorer(char mark) : mark_(mark) {}

  void restore(toml::node& node) {
    if (toml::value<std::string>* const text = node.as_string()) {
      text->get() = plain(text->get(), mark_);
    } else if (toml::array* const array = node.as_array()) {
      for (toml::node& element : *array) restore(element);
    } else if (toml::table* const table = node.as_table()) {
      for (auto&& [key, value] : *table) restore(value);
      restore_keys(*table);
    }
  }

  // Where a key is that another one in its table turned out to be, too; 0: nowhere.
  std::size_t twice_line() const { return twice_line_; }

 private:
  void restore_keys(toml::table& table) {
    std::vector<std::string> keys;
    for (const auto& [key, node] : table) {
      if (key.str().find(mark_) != std::string_view::npos) keys.emplace_back(key.str());
    }
    for (const std::string& key : keys) {
      const auto found = table.find(key);
      const toml::source_region source = found->first.source();
      const bool is_new = table.insert(toml::key(plain(key, mark_), source), std::move(found->second)).second;
      if (!is_new) twice_line_ = source.begin.line;
      table.erase(key);
    }
  }

  const char mark_;
  std::size_t twice_line_ = 0;
};

// Where a byte is that begins no UTF-8; 0: nowhere.
std::size_t broken_line(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Char next = decode_utf8(text.substr(at));
    if (!next.valid) return 1 + static_cast<std::size_t>(std::ranges::count(text.substr(0, at), '\n'));
    at += next.length;
  }
  return 0;
}

std::unexpected<Error> wrong_line(std::size_t line, std::string_view words) {
  return fail(Code::kInvalidArgument, fmt::format("line {}: {}", line, words));
}

// `mark`: of the escapes, if there are any.
Result<toml::table> parse_ascii(std::string_view text, std::optional<char> mark) {
  toml::parse_result parsed = toml::parse(text);
  if (parsed) return std::move(parsed).table();
  std::string words(parsed.error().description());
  if (mark) {
    const std::string sign = fmt::format("'{}'", *mark);
    words = plain(words, *mark);
    if (const auto at = words.find(sign); at != words.npos) words.replace(at, sign.size(), "a letter beyond ASCII or " + sign);
  }
  return wrong_line(parsed.error().source().begin.line, words);
}

}  // namespace

Result<toml::table> parse_toml(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (std::ranges::all_of(text, is_ascii)) return parse_ascii(text, std::nullopt);
  if (const std::size_t line = broken_line(text); line != 0) return wrong_line(line, "this is no UTF-8");
  const std::optional<char> mark = mark_for(text);
  if (!mark) return wrong_line(1, fmt::format("\\u may not name each of {}: write one of them as it is", kMarks));
  HEARTH_TRY(toml::table table, parse_ascii(escaped(text, *mark), mark));
  Restorer restorer(*mark);
  restorer.restore(table);
  if (restorer.twice_line() != 0) return wrong_line(restorer.twice_line(), "the key is there already");
  return table;
}

}  // namespace hearth

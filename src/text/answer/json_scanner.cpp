#include "text/answer/json_scanner.h"

#include <algorithm>

#include "base/ascii.h"

namespace hearth::text {
namespace {

constexpr std::size_t kScalarBytesMax = 512;

bool is_scalar_byte(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || c == 'E' || c == '+' || c == '-' || c == '.';
}

std::size_t skip_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

// RFC 8259's number: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
bool is_number(std::string_view text) {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  std::size_t end = skip_digits(text, at);
  if (end == at || (text[at] == '0' && end > at + 1)) return false;
  at = end;
  if (at < text.size() && text[at] == '.') {
    end = skip_digits(text, ++at);
    if (end == at) return false;
    at = end;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    end = skip_digits(text, at);
    if (end == at) return false;
    at = end;
  }
  return at == text.size();
}

}  // namespace

JsonScanner::JsonScanner(bool in_object) {
  if (!in_object) return;
  open_.push_back('{');
  next_ = Next::kCommaOrEnd;
}

JsonScanner::Verdict JsonScanner::feed(char byte) {
  if (in_string_) return feed_string(byte);
  if (!scalar_.empty()) return feed_scalar(byte);
  if (is_space(byte)) return next_ == Next::kNothing ? Verdict::kBad : Verdict::kMore;

  const bool wants_value = next_ == Next::kValue || next_ == Next::kValueOrEnd;
  const bool wants_key = next_ == Next::kKey || next_ == Next::kKeyOrEnd;
  switch (byte) {
    case '{':
    case '[':
      return wants_value ? open(byte) : Verdict::kBad;
    case '}':
    case ']':
      return close(byte);
    case '"':
      if (!wants_value && !wants_key) return Verdict::kBad;
      in_string_ = true;
      is_key_ = wants_key;
      return Verdict::kMore;
    case ':':
      if (next_ != Next::kColon) return Verdict::kBad;
      next_ = Next::kValue;
      return Verdict::kMore;
    case ',':
      if (next_ != Next::kCommaOrEnd || open_.empty()) return Verdict::kBad;
      next_ = open_.back() == '{' ? Next::kKey : Next::kValue;
      return Verdict::kMore;
    default:
      if (!wants_value || !is_scalar_byte(byte)) return Verdict::kBad;
      scalar_.push_back(byte);
      return Verdict::kMore;
  }
}

JsonScanner::Verdict JsonScanner::feed_string(char byte) {
  if (n_hex_left_ > 0) {
    --n_hex_left_;
    return is_hex(byte) ? Verdict::kMore : Verdict::kBad;
  }
  if (is_escaped_) {
    is_escaped_ = false;
    if (byte == 'u') n_hex_left_ = 4;
    return std::string_view("\"\\/bfnrtu").find(byte) == std::string_view::npos ? Verdict::kBad
                                                                                : Verdict::kMore;
  }
  if (byte == '\\') {
    is_escaped_ = true;
    return Verdict::kMore;
  }
  if (byte != '"') return Verdict::kMore;
  in_string_ = false;
  if (!is_key_) return after_value();
  next_ = Next::kColon;
  return Verdict::kMore;
}

JsonScanner::Verdict JsonScanner::feed_scalar(char byte) {
  if (is_scalar_byte(byte)) {
    scalar_.push_back(byte);
    return scalar_.size() > kScalarBytesMax ? Verdict::kBad : Verdict::kMore;
  }
  if (!scalar_is_valid()) return Verdict::kBad;
  scalar_.clear();
  if (after_value() == Verdict::kEnds) return Verdict::kEndedBefore;
  return feed(byte);
}

JsonScanner::Verdict JsonScanner::open(char bracket) {
  if (open_.size() >= kDepthMax) return Verdict::kBad;
  open_.push_back(bracket);
  next_ = bracket == '{' ? Next::kKeyOrEnd : Next::kValueOrEnd;
  return Verdict::kMore;
}

JsonScanner::Verdict JsonScanner::close(char bracket) {
  const char opening = bracket == '}' ? '{' : '[';
  if (open_.empty() || open_.back() != opening) return Verdict::kBad;
  const Next empty = opening == '{' ? Next::kKeyOrEnd : Next::kValueOrEnd;
  if (next_ != Next::kCommaOrEnd && next_ != empty) return Verdict::kBad;
  open_.pop_back();
  return after_value();
}

JsonScanner::Verdict JsonScanner::after_value() {
  next_ = open_.empty() ? Next::kNothing : Next::kCommaOrEnd;
  return open_.empty() ? Verdict::kEnds : Verdict::kMore;
}

bool JsonScanner::scalar_is_valid() const {
  return scalar_ == "true" || scalar_ == "false" || scalar_ == "null" || is_number(scalar_);
}

bool JsonScanner::is_complete_at_end() const {
  if (!scalar_.empty()) return open_.empty() && scalar_is_valid();
  return next_ == Next::kNothing && !in_string_;
}

std::size_t json_value_length(std::string_view text, bool& is_bad) {
  JsonScanner scanner;
  is_bad = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (scanner.feed(text[i])) {
      case JsonScanner::Verdict::kMore:
        break;
      case JsonScanner::Verdict::kEnds:
        return i + 1;
      case JsonScanner::Verdict::kEndedBefore:
        return i;
      case JsonScanner::Verdict::kBad:
        is_bad = true;
        return std::string_view::npos;
    }
  }
  return std::string_view::npos;
}

bool is_json(std::string_view text) {
  JsonScanner scanner;
  bool has_ended = false;
  for (const char byte : text) {
    if (has_ended) {
      if (!is_space(byte)) return false;
      continue;
    }
    const auto verdict = scanner.feed(byte);
    if (verdict == JsonScanner::Verdict::kBad) return false;
    if (verdict == JsonScanner::Verdict::kEndedBefore && !is_space(byte)) return false;
    has_ended = verdict != JsonScanner::Verdict::kMore;
    const bool is_raw_control = static_cast<unsigned char>(byte) < 0x20;
    if (is_raw_control && scanner.in_string()) return false;
  }
  return has_ended || scanner.is_complete_at_end();
}

void append_json_escaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20) {
          out.push_back(c);
        } else {
          out += "\\u00";
          out.push_back(kHex[(c >> 4) & 15]);
          out.push_back(kHex[c & 15]);
        }
    }
  }
}

}  // namespace hearth::text

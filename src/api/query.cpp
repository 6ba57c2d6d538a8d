#include "api/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "net/http_message.h"

namespace hearth::api {

Parsed<std::optional<std::string>> query_value(std::string_view target, std::string_view name) {
  const std::size_t mark = target.find('?');
  std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    std::string value;
    if (!net::percent_decode(pair.substr(equals + 1), value) || value.size() > kQueryValueBytesMax) {
      return refuse("invalid_value", std::string(name),
                    fmt::format("Invalid value for '{}': a text of at most {} bytes is expected, percent-encoded.", name,
                                kQueryValueBytesMax));
    }
    if (value.empty()) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

Parsed<std::string> query_text(std::string_view target, std::string_view name) {
  HEARTH_TRY(const auto value, query_value(target, name));
  return value.value_or("");
}

Parsed<std::int64_t> query_number(std::string_view target, std::string_view name, std::int64_t absent,
                                  std::int64_t max) {
  HEARTH_TRY(const auto value, query_value(target, name));
  if (!value) return absent;
  std::int64_t number = 0;
  const char* const end = value->data() + value->size();
  const auto [stopped, error] = std::from_chars(value->data(), end, number);
  if (error == std::errc() && stopped == end && number >= 0 && number <= max) return number;
  return refuse("invalid_value", std::string(name),
                fmt::format("Invalid value for '{}': a whole number from 0 to {} is expected.", name, max));
}

}  // namespace hearth::api

#include "net/response_head.h"

#include <string>

namespace hearth::net {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

bool ResponseHeadReader::take(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kBytesMax) return false;
  if (line.starts_with("HTTP/")) {
    head_ = {};
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    head_.headers.push_back({.name = std::string(trimmed(line.substr(0, colon))),
                             .value = std::string(trimmed(line.substr(colon + 1)))});
  }
  return true;
}

}  // namespace hearth::net

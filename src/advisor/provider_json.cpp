#include "advisor/provider_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace hearth::advisor {
namespace {

constexpr std::size_t kErrorTextBytesMax = 300;
constexpr std::int64_t kTokensMax = std::int64_t{1} << 40;  // Larger counts are lies anyway.

}  // namespace

const Json& member(const Json& object, const char* key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string text_member(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_integer() ? value.dump() : "";
}

std::int64_t count_member(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_number()) return -1;
  const auto number = value.get<double>();
  return number >= 0 && number < static_cast<double>(kTokensMax) ? static_cast<std::int64_t>(number)
                                                                 : kTokensMax;
}

void read_use(const Json& usage, TokenUse& use) {
  if (!usage.is_object()) return;
  use.prompt_tokens = count_member(usage, "prompt_tokens");
  use.completion_tokens = count_member(usage, "completion_tokens");
  use.cached_tokens = count_member(member(usage, "prompt_tokens_details"), "cached_tokens");
}

std::string short_text(std::string text) {
  text = sanitize_utf8(text);
  std::ranges::replace_if(text, [](unsigned char c) { return c < ' '; }, ' ');
  if (text.size() > kErrorTextBytesMax) {
    text.resize(complete_utf8_prefix(std::string_view(text).substr(0, kErrorTextBytesMax)));
    text += "...";
  }
  return text;
}

ProviderError read_error(const Json& error) {
  if (error.is_string()) return {.message = short_text(error.get<std::string>())};
  if (!error.is_object()) return {};
  ProviderError read{.type = short_text(text_member(error, "type")),
                     .code = short_text(text_member(error, "code")),
                     .message = short_text(text_member(error, "message"))};
  if (!read.is_set()) read.message = "an error without words";
  return read;
}

}  // namespace hearth::advisor

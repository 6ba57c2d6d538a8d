#include "advisor/provider_json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "base/utf8_bounds.h"

namespace hearth::advisor {
namespace {

constexpr std::size_t kErrorTextBytesMax = 300;
constexpr std::size_t kErrorDetailsMax = 32;
constexpr std::int64_t kTokensMax = std::int64_t{1} << 40;  // Larger counts are lies anyway.
constexpr std::int64_t kRetryMsMax = std::int64_t{86'400'000};

bool is_nested_too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kNestingMax) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

// A protobuf duration in JSON: "22s", "1.5s".
std::int64_t duration_ms(const std::string& text) {
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || std::string_view(end) != "s" || !std::isfinite(seconds) || seconds < 0) return -1;
  return static_cast<std::int64_t>(std::min(std::ceil(seconds * 1000), static_cast<double>(kRetryMsMax)));
}

// Google's `details`: how long to wait (RetryInfo), and which quota it is (QuotaFailure).
void read_google_details(const Json& details, ProviderError& error) {
  for (std::size_t i = 0; i < std::min(details.size(), kErrorDetailsMax); ++i) {
    const Json& detail = details[i];
    if (const std::int64_t ms = duration_ms(text_member(detail, "retryDelay")); ms >= 0) error.retry_ms = ms;
    const Json& violations = member(detail, "violations");
    for (std::size_t v = 0; violations.is_array() && v < std::min(violations.size(), kErrorDetailsMax); ++v) {
      if (text_member(violations[v], "quotaId").find("PerDay") != std::string::npos) error.is_spent = true;
    }
  }
}

}  // namespace

Json parse_json(std::string_view text) {
  if (is_nested_too_deep(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

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
  const Json& prompt = member(usage, "prompt_tokens_details");
  use.prompt_tokens = count_member(usage, "prompt_tokens");
  use.completion_tokens = count_member(usage, "completion_tokens");
  use.cached_tokens = count_member(prompt, "cached_tokens");
  use.cache_write_tokens = count_member(prompt, "cache_write_tokens");
  use.reasoning_tokens = count_member(member(usage, "completion_tokens_details"), "reasoning_tokens");
}

std::string short_text(std::string text) {
  text = sanitize_utf8(text);
  std::ranges::replace_if(text, [](unsigned char c) { return c < ' '; }, ' ');
  if (text.size() > kErrorTextBytesMax) {
    text.resize(utf8_bound_up_to(text, kErrorTextBytesMax));
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
  if (read.type.empty()) read.type = short_text(text_member(error, "status"));
  const Json& details = member(error, "details");
  if (details.is_array()) read_google_details(details, read);
  if (read.code.empty()) read.code = short_text(text_member(details, "error_code"));
  if (!read.is_set()) read.message = "an error without words";
  return read;
}

ProviderError read_error_body(std::string_view body) {
  Json json = parse_json(body);
  if (json.is_array() && json.size() == 1) json = Json(json[0]);  // Some wrap errors in an array.
  ProviderError error = read_error(member(json, "error"));
  if (!error.is_set()) error.message = short_text(text_member(json, "message"));
  return error;
}

}  // namespace hearth::advisor

#include "advisor/retry.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>

namespace hearth::advisor {
namespace {

using std::chrono::milliseconds;

constexpr double kFirstDelayMs = 500;
constexpr double kDelayMaxMs = 8'000;

// Codes and types that no waiting cures.
constexpr std::string_view kFinal[] = {
    "insufficient_quota",  "credit_balance_exhausted", "billing_hard_limit_reached",
    "billing_not_active",  "quota_exceeded",           "enforced_spend_limit_reached",
    "spend_limit_reached", "access_terminated",
};
// Errors inside a response of status 200 that may pass by themselves.
constexpr std::string_view kPassing[] = {
    "server_error",        "api_error",      "overloaded",  "overloaded_error",
    "rate_limit_exceeded", "slow_down",      "timeout",     "rate_limit_error",
    "timeout_error",       "internal_error", "unavailable", "engine_overloaded",
    "RESOURCE_EXHAUSTED",  "UNAVAILABLE",    "INTERNAL",    "DEADLINE_EXCEEDED",
};

template <std::size_t N>
bool names_one_of(const ProviderError& error, const std::string_view (&names)[N]) {
  return std::ranges::any_of(
      names, [&](std::string_view name) { return error.code == name || error.type == name; });
}

bool is_passing_status(int status) {
  return status == 408 || status == 409 || status == 429 || status >= 500;
}

bool may_pass(const CallEvidence& evidence) {
  if (evidence.has_text || evidence.error.is_spent || names_one_of(evidence.error, kFinal)) return false;
  switch (evidence.failure) {
    case net::HttpFailure::kCancelled:
    case net::HttpFailure::kTooLarge:
      return false;
    case net::HttpFailure::kConnect:
    case net::HttpFailure::kTimeout:
    case net::HttpFailure::kBroken:
      return true;
    case net::HttpFailure::kNone:
      break;
  }
  if (const std::string* const order = evidence.head.find("x-should-retry")) {
    if (*order == "true") return true;
    if (*order == "false") return false;
  }
  if (evidence.head.status == 200) return names_one_of(evidence.error, kPassing);
  return is_passing_status(evidence.head.status);
}

// Seconds, or an HTTP date (RFC 9110); nullopt for anything else.
std::optional<double> seconds_until(const std::string& value, std::int64_t now_unix_us) {
  char* end = nullptr;
  const double seconds = std::strtod(value.c_str(), &end);
  if (end != value.c_str() && *end == '\0') {
    return std::isfinite(seconds) ? std::optional(seconds) : std::nullopt;
  }
  struct tm date{};
  const char* const rest = ::strptime(value.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (rest == nullptr || *rest != '\0') return std::nullopt;
  return static_cast<double>(::timegm(&date)) - static_cast<double>(now_unix_us) / 1e6;
}

// What the server asks for; nullopt if it asks for nothing that makes sense.
std::optional<double> asked_delay_ms(const CallEvidence& evidence, std::int64_t now_unix_us) {
  const net::HttpResponseHead& head = evidence.head;
  if (const std::string* const ms = head.find("retry-after-ms")) {
    char* end = nullptr;
    const double value = std::strtod(ms->c_str(), &end);
    if (end != ms->c_str() && *end == '\0' && std::isfinite(value)) return value;
  }
  if (const std::string* const after = head.find("retry-after")) {
    if (const auto seconds = seconds_until(*after, now_unix_us)) return *seconds * 1000;
  }
  if (evidence.error.retry_ms >= 0) return static_cast<double>(evidence.error.retry_ms);
  return std::nullopt;
}

}  // namespace

std::optional<milliseconds> retry_delay(const CallEvidence& evidence, std::uint32_t n_tries,
                                        std::int64_t now_unix_us, double jitter) {
  if (!may_pass(evidence)) return std::nullopt;
  if (const auto asked = asked_delay_ms(evidence, now_unix_us); asked && *asked >= 0) {
    if (*asked > static_cast<double>(kRetryAfterMax.count())) return std::nullopt;
    return milliseconds(static_cast<std::int64_t>(std::ceil(*asked)));
  }
  // "Slower": not before the longest of the usual waits.
  const bool is_slow_down = evidence.error.code == "slow_down" || evidence.error.type == "slow_down";
  if (is_slow_down) return milliseconds(static_cast<std::int64_t>(kDelayMaxMs));
  const double doubled = kFirstDelayMs * std::pow(2, std::min(n_tries > 0 ? n_tries - 1 : 0U, 10U));
  const double delay = std::min(doubled, kDelayMaxMs) * (1 - 0.25 * jitter);
  return milliseconds(static_cast<std::int64_t>(delay));
}

}  // namespace hearth::advisor

// When a call that failed is worth another try, and when.
//
// The rules of the big providers' own clients: 408, 409, 429 and 5xx may pass by
// themselves, and so may a connection that did not come about or broke; but a 429 that
// means "no money left" will not.  A server may order or forbid with x-should-retry, and
// say when with retry-after-ms, retry-after or (Google) within the error.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "advisor/provider_json.h"
#include "net/http_client.h"

namespace hearth::advisor {

// What is known when a call has ended.
struct CallEvidence {
  net::HttpFailure failure = net::HttpFailure::kNone;
  net::HttpResponseHead head;
  ProviderError error;
  bool has_text = false;  // Part of an answer arrived: never tried again.
};

// How long to wait before try number `n_tries` + 1; nullopt: do not try again.  `jitter` in [0, 1].
std::optional<std::chrono::milliseconds> retry_delay(const CallEvidence& evidence,
                                                     std::uint32_t n_tries,
                                                     std::int64_t now_unix_us, double jitter);

// A server that asks to wait longer than this is not waited for.
inline constexpr std::chrono::milliseconds kRetryAfterMax{120'000};

// When the first of `questions` (a map of what has a `step` and, while that is kWaiting, a `retry_at`) is due; none: a
// while from now.
template <class Questions>
std::chrono::steady_clock::time_point next_retry(const Questions& questions) {
  constexpr std::chrono::minutes kIdleWait{1};
  auto next = std::chrono::steady_clock::now() + kIdleWait;
  for (const auto& [id, question] : questions) {
    if (question.step == decltype(question.step)::kWaiting) next = std::min<decltype(next)>(next, question.retry_at);
  }
  return next;
}

}  // namespace hearth::advisor

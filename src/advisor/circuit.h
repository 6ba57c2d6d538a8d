// Whether a server that keeps failing is asked at all: a circuit breaker.
//
//   closed     every request goes through; kFailuresMax failures in a row open it
//   open       requests are refused at once, until its rest is over
//   half-open  one request goes through as a probe: its success closes, its failure opens for twice
//              as long, up to kRestMax
//
// A failure is one of the server's (no connection, silence, nonsense, status 5xx): a request that
// it refuses is none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace hearth::advisor {

enum class CircuitState : std::uint8_t { kClosed, kOpen, kHalfOpen };

constexpr const char* circuit_state_name(CircuitState state) {
  constexpr const char* kNames[] = {"closed", "open", "half-open"};
  return kNames[static_cast<std::size_t>(state)];
}

// Threading: externally synchronised.
class Circuit {
 public:
  static constexpr std::uint32_t kFailuresMax = 5;
  static constexpr std::int64_t kRestNs = 5'000'000'000;
  static constexpr std::int64_t kRestMaxNs = 120'000'000'000;

  // Whether a request may go through now.  Whoever is let through says how it went, with one of the
  // three below.
  bool let_through(std::int64_t now_ns) {
    if (n_failures_ < kFailuresMax) return true;
    if (now_ns < open_until_ns_ || is_probing_) return false;
    is_probing_ = true;
    return true;
  }
  void succeed() {
    n_failures_ = 0;
    rest_ns_ = kRestNs;
    is_probing_ = false;
  }
  void fail(std::int64_t now_ns) {
    is_probing_ = false;
    if (++n_failures_ < kFailuresMax) return;
    open_until_ns_ = now_ns + rest_ns_;
    rest_ns_ = std::min(rest_ns_ * 2, kRestMaxNs);
  }
  // Neither: it was cancelled, or refused for a reason of its own.
  void withdraw() { is_probing_ = false; }

  // A server that answers a health check again need not rest any longer.
  void end_rest() { open_until_ns_ = 0; }

  std::int64_t rest_left_ns(std::int64_t now_ns) const {
    return std::max<std::int64_t>(open_until_ns_ - now_ns, 0);
  }
  std::uint32_t n_failures() const { return n_failures_; }
  CircuitState state(std::int64_t now_ns) const {
    if (n_failures_ < kFailuresMax) return CircuitState::kClosed;
    return now_ns < open_until_ns_ ? CircuitState::kOpen : CircuitState::kHalfOpen;
  }

 private:
  std::uint32_t n_failures_ = 0;  // In a row.
  std::int64_t rest_ns_ = kRestNs;
  std::int64_t open_until_ns_ = 0;
  bool is_probing_ = false;
};

}  // namespace hearth::advisor

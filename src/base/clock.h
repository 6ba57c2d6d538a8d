// Time, behind an interface, so that tests of budgets, timeouts and scheduling move
// it by hand.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth {

// Threading: any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since the Unix epoch; may step when someone sets the system's clock.
  virtual std::int64_t now_unix_us() const = 0;
  // Nanoseconds since some fixed point; never steps back.
  virtual std::int64_t now_monotonic_ns() const = 0;

  static const Clock& system();
};

class FakeClock final : public Clock {
 public:
  explicit FakeClock(std::int64_t unix_us = 1'700'000'000'000'000) : unix_us_(unix_us) {}
  std::int64_t now_unix_us() const override { return unix_us_; }
  std::int64_t now_monotonic_ns() const override { return unix_us_ * 1000; }
  void advance(std::chrono::microseconds by) { unix_us_ += by.count(); }

 private:
  std::int64_t unix_us_;
};

// "2026-03-01T12:34:56.789012Z" in UTC.
std::string format_iso8601(std::int64_t unix_us);

// Seconds since the epoch of "2026-03-01T12:34:56" (a fraction and a final Z may follow), read as
// UTC; nothing for any other text.
std::optional<std::int64_t> parse_iso8601(std::string_view text);

}  // namespace hearth

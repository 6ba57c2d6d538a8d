// What the server counts, in Prometheus' text format.
//
// Format: https://prometheus.io/docs/instrumenting/exposition_formats/.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "hub/hub.h"
#include "net/http_server.h"

namespace hearth::server {

// Counts of values in fixed ranges.
//
// Threading: any thread; no locks.  A reader may see a sum and a count that are one value apart.
class Histogram {
 public:
  static constexpr std::array<double, 14> kBoundsSeconds = {
      0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

  void observe_ms(double ms);
  void render(std::string& out, std::string_view name, std::string_view help) const;

 private:
  std::array<std::atomic<std::uint64_t>, kBoundsSeconds.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_us_{0};
};

// Threading: any thread.
struct Metrics {
  Histogram first_token;  // From the parsed request to the first visible token.
  Histogram total;
  // Answers by status class: [2] is 2xx.
  std::array<std::atomic<std::uint64_t>, 6> responses{};
  std::atomic<std::uint64_t> streams_failed{0};  // With an error after the first piece.

  void count_response(unsigned status);
};

std::string render_metrics(const Metrics& metrics, const hub::HubStats& hub,
                           std::span<const hub::UpstreamState> upstreams,
                           const hub::MemoryReport& memory, const net::HttpServerStats& http);

}  // namespace hearth::server

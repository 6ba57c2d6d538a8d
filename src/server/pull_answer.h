// The bridge for /api/pull: a pull's states as lines, or its end as one answer; a client that leaves stops
// watching.
#pragma once

#include <chrono>
#include <memory>

#include "hub/pulls.h"
#include "net/http_server.h"
#include "server/metrics.h"

namespace hearth::server {

struct PullCall {
  net::HeaderList headers;  // Of the answer.
  std::shared_ptr<net::HttpExchange> exchange;
  std::shared_ptr<Metrics> metrics;
  std::chrono::milliseconds heartbeat_every;  // What is said last is said again then.
};

// Answers the exchange, now or as the pull goes on.  `pulls` must live until the exchange's server has
// stopped.
void answer_pull(hub::Pulls& pulls, const PullCall& call);

}  // namespace hearth::server

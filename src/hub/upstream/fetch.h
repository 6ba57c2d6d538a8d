// One small document from another server, for threads that may wait.
#pragma once

#include <cstddef>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "net/http_client.h"

namespace hearth::hub {

struct Fetched {
  int status = 0;
  std::string body;
};

// Blocks until the response is there, whatever its status.  kUnavailable: no whole response, or one
// of more than `post.response_bytes_max`; kCancelled: `stop` was requested.
Result<Fetched> fetch(net::HttpClient& client, net::HttpPost post, const std::stop_token& stop);

}  // namespace hearth::hub

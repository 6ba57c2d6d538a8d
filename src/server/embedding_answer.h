// The bridge for /v1/embeddings: a parsed body to the hub, and its vectors back.
#pragma once

#include <memory>

#include "hub/hub.h"
#include "net/http_server.h"
#include "server/metrics.h"

namespace hearth::server {

struct EmbeddingCall {
  net::HeaderList headers;  // Of every answer.
  std::shared_ptr<net::HttpExchange> exchange;
  std::shared_ptr<Metrics> metrics;
};

// Answers the exchange, now or when the hub is done.  A client that leaves ends the work.
void answer_embeddings(hub::Hub& hub, EmbeddingCall call);

}  // namespace hearth::server

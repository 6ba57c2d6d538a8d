// The bridge for embeddings and /v1/rerank: a parsed body to the hub, and its vectors or scores
// back.
#pragma once

#include <memory>

#include "hub/hub.h"
#include "net/http_server.h"
#include "server/metrics.h"

namespace hearth::server {

struct EmbeddingCall {
  net::HeaderList headers;  // Of every answer.
  std::string client;       // Who asks.
  std::shared_ptr<net::HttpExchange> exchange;
  std::shared_ptr<Metrics> metrics;
};

// Each answers the exchange, now or when the hub is done.  A client that leaves ends the work.
void answer_embeddings(hub::Hub& hub, EmbeddingCall call);
void answer_rerank(hub::Hub& hub, EmbeddingCall call);
void answer_ollama_embed(hub::Hub& hub, EmbeddingCall call);
void answer_ollama_embeddings(hub::Hub& hub, EmbeddingCall call);

}  // namespace hearth::server

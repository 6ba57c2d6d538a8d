// The hub's HTTP face: routes, access, and the bridge to the hub.
//
//   OpenAI       POST /v1/chat/completions, /v1/completions, /v1/responses, /v1/embeddings, /v1/rerank
//                GET  /v1/models, /v1/models/{id}
//   Anthropic    POST /v1/messages, /v1/messages/count_tokens
//   Ollama       POST /api/chat, /api/generate, /api/embed, /api/embeddings, /api/show, /api/pull
//                GET  /api/tags, /api/ps, /api/version   DELETE /api/delete
//   llama.cpp    POST /models/load, /models/unload, /tokenize, /detokenize, /apply-template
//                GET  /models, /props
//   Hearth       GET  /hearth/v1/receipts, /hearth/v1/receipts/{id}, /hearth/v1/ledger, /hearth/v1/memory,
//                     /hearth/v1/consents, /health, /metrics, / and the page's files
//                POST /hearth/v1/ledger/verify, /hearth/v1/policy/explain, /hearth/v1/consents/{id}, /hearth/v1/outcomes
//                GET  /hearth/v1/kernels, /hearth/v1/kernels/{name}   POST /hearth/v1/kernels, /hearth/v1/kernels/run
//                DELETE /hearth/v1/kernels/{name}
//                GET, POST /hearth/v1/roofs    POST /hearth/v1/pins    GET /hearth/v1/recommendation
//                GET /hearth/v1/conversations  GET, PUT, DELETE /hearth/v1/conversations/{id}
//   MCP          POST, DELETE /mcp
//
// routes.h is the table of them, and GET /openapi.json its document.
//
// A request's way: head read → access and route judged (no body yet) → body read → a worker thread
// parses it and asks the hub → the answer flows through the exchange.  The I/O thread does
// nothing that could block.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub.h"
#include "hub/kernels/kernel_desk.h"
#include "hub/pulls.h"
#include "net/http_server.h"
#include "server/access.h"
#include "server/ledger_routes.h"
#include "server/page_routes.h"

namespace hearth::server {

struct ServerOptions {
  net::HttpServerOptions http;  // Address, port and limits.
  std::vector<ApiKey> keys;
  std::vector<std::string> host_names;
  std::vector<std::string> origins;
  // Threads that parse requests and admit them (which may load a model); one more answers
  // health, metrics and lists, so that these never wait for a model.
  unsigned n_workers = 4;
  std::chrono::milliseconds heartbeat_every{15'000};
  std::string version;  // Of Hearth, for clients that ask.
  Books books;  // What Hearth's own API reads from.
  hub::KernelDesk* kernels = nullptr;  // Borrowed; outlives the server.  Null: 404.
  PageServices page;
  // Learns that a receipt's answer was good or bad; what it noted as JSON text.  Unset: 404.
  std::function<Result<std::string>(const std::string& id, bool is_good)> note_outcome;
  hub::Pulls* pulls = nullptr;  // Fetches models for clients; null: nobody does.  Outlives the server.
};

// Threading: create, stop and the destructor on one thread; the rest anywhere.
class Server {
 public:
  // Listens at once.  Errors: those of HttpServer::create and Access::create.  `hub` must outlive the
  // server.
  static Result<std::unique_ptr<Server>> create(ServerOptions options, hub::Hub& hub);
  ~Server();  // stop(0 ms).

  std::uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:8642"
  net::HttpServerStats http_stats() const;

  // No new connections; running requests get `grace`, then the hub is told to cancel them and their
  // clients get an error event.  Returns when all connections are closed.  Afterwards shut the hub
  // down.
  void stop(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::server

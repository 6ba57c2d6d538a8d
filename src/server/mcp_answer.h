// MCP over HTTP: one path, a message per POST.
//
// An answer is one JSON object as long as there is nothing to say before it; the first notification or
// heartbeat makes it a stream of events that ends with the answer.  So short calls cost what any other request
// costs, and no proxy gives up on long ones.
//
// A client that goes away ends its call, in all revisions: streams are not resumed, so nobody could fetch the
// answer any more.
#pragma once

#include <chrono>
#include <memory>

#include "api/mcp/desk.h"
#include "net/http_server.h"
#include "server/metrics.h"

namespace hearth::server {

struct McpExchange {
  net::HeaderList headers;  // Of every answer: request id, CORS.
  std::shared_ptr<net::HttpExchange> exchange;
  std::shared_ptr<Metrics> metrics;
  api::mcp::Caller caller;
  std::chrono::milliseconds heartbeat_every{15'000};
};

// A message.  May wait: not for the I/O thread.
void answer_mcp(api::mcp::Desk& desk, McpExchange call);

// DELETE: the end of a session.
net::ServerResponse end_mcp_session(api::mcp::Desk& desk, const net::ServerRequest& request, const std::string& client);

// What HTTP itself refuses (403, 413, ...), as an error of JSON-RPC without an id.
std::string render_mcp_error(const api::ApiError& error);

}  // namespace hearth::server

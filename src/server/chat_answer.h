// The bridge from the hub's events to an HTTP answer, whole or streamed.
//
// The hub calls its sink on its own threads; the sink renders each event at once and
// hands the bytes to the HttpExchange, which never blocks.  When nobody waits for the
// answer any more (the client left, reads too slowly, the server stops) the exchange calls
// back and the hub is told to cancel; the sink then still gets its last call, and what it
// writes goes nowhere.
//
// A stream's head is sent with its first event, not before: a request that fails until
// then (a prompt that does not fit, a full queue) gets a proper status.  A failure after that
// is an event of its own, and the connection closes.
//
// Where the receipt is: a whole answer has the header `x-hearth-receipt`.  A stream's headers are
// gone before there is a receipt, so its last event carries it in the member `hearth`.
#pragma once

#include <chrono>
#include <memory>

#include "api/answer_writer.h"
#include "hub/hub.h"
#include "net/http_server.h"
#include "server/metrics.h"

namespace hearth::server {

// What a stream that has nothing to say yet sends, so that no client or proxy gives up on it.
inline constexpr std::chrono::milliseconds kHeartbeatEvery{15'000};

// Renders an error's body as a protocol has it.
using RenderError = std::string (*)(const api::ApiError& error);

struct ChatExchange {
  api::ChatCall call;
  net::HeaderList headers;  // For the answer: request id, CORS.
  RenderError render_error = api::render_error;
  std::shared_ptr<net::HttpExchange> exchange;
  std::shared_ptr<Metrics> metrics;
  std::chrono::milliseconds heartbeat_every = kHeartbeatEvery;
};

// Asks the hub and lets the answer flow.  May block as long as Hub::chat() does: not for the I/O thread.
// `hub` must live until the exchange's server has stopped.
void answer_chat(hub::Hub& hub, ChatExchange chat);

// An error as an answer, with Retry-After where that helps.
net::ServerResponse error_response(const api::ApiError& error, net::HeaderList headers = {},
                                   RenderError render = api::render_error);

}  // namespace hearth::server

#include "server/mcp_answer.h"

#include <mutex>
#include <utility>

#include "base/ascii.h"
#include "net/sse.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace mcp = api::mcp;

// Threading: any thread; a mutex orders the call's events and the I/O thread's heartbeats.
class HttpOutlet final : public mcp::Outlet {
 public:
  explicit HttpOutlet(McpExchange call) : call_(std::move(call)) {
    const std::string accepted = lower(call_.exchange->request().header("Accept"));
    const bool takes_all = accepted.empty() || accepted.find("*/*") != std::string::npos;
    takes_stream_ = takes_all || accepted.find("text/event-stream") != std::string::npos;
    takes_json_ = takes_all || accepted.find("application/json") != std::string::npos || !takes_stream_;
  }

  void notify(const std::string& message) override {
    const std::lock_guard lock(mutex_);
    if (!takes_stream_ || is_over_) return;
    start();
    net::append_sse_event(out_, message);
    send();
  }

  void finish(const std::string& answer, unsigned status) override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_over_, true)) return;
    if (is_streaming_ || (status == 200 && !takes_json_)) {
      start();
      net::append_sse_event(out_, answer);
      return call_.exchange->end_stream(false, out_);
    }
    call_.metrics->count_response(status);
    call_.exchange->respond({.status = status,
                             .content_type = answer.empty() ? "" : "application/json",
                             .body = answer,
                             .headers = std::move(call_.headers)});
  }

  void abandon() override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_over_, true)) return;
    if (takes_stream_) {
      start();
      return call_.exchange->end_stream();
    }
    call_.metrics->count_response(202);
    call_.exchange->respond({.status = 202, .content_type = "", .headers = std::move(call_.headers)});
  }

  void name_session(const std::string& id) override {
    const std::lock_guard lock(mutex_);
    call_.headers.emplace_back("Mcp-Session-Id", id);
  }

  void heartbeat() {
    const std::lock_guard lock(mutex_);
    if (!takes_stream_ || is_over_) return;
    start();
    net::append_sse_comment(out_, "still working");
    send();
  }

 private:
  void start() {
    if (std::exchange(is_streaming_, true)) return;
    call_.metrics->count_response(200);
    call_.headers.emplace_back("Cache-Control", "no-cache");
    call_.headers.emplace_back("X-Accel-Buffering", "no");  // Asks proxies not to hold events back.
    call_.exchange->start_stream({.content_type = "text/event-stream", .headers = std::move(call_.headers)});
  }

  void send() {
    call_.exchange->write(out_);
    out_.clear();
  }

  std::mutex mutex_;  // Guards all that follows.
  McpExchange call_;
  bool takes_stream_ = true, takes_json_ = true;
  bool is_streaming_ = false, is_over_ = false;
  std::string out_;  // Kept for its memory.
};

}  // namespace

void answer_mcp(mcp::Desk& desk, McpExchange call) {
  const auto exchange = call.exchange;
  if (exchange->cancelled()) return;  // Left while it waited for a thread.
  const net::ServerRequest& request = exchange->request();
  const mcp::Headers headers{.protocol_version = request.header("MCP-Protocol-Version"),
                             .method = request.header("Mcp-Method"),
                             .name = request.header("Mcp-Name"),
                             .session = request.header("Mcp-Session-Id")};
  mcp::Caller caller = std::move(call.caller);
  const auto every = call.heartbeat_every;
  const auto outlet = std::make_shared<HttpOutlet>(std::move(call));
  exchange->on_idle(every, [weak = std::weak_ptr(outlet)] {
    if (const auto alive = weak.lock()) alive->heartbeat();
  });
  desk.take(request.body, headers, std::move(caller), outlet, [&](const std::shared_ptr<mcp::ToolRun>& run) {
    exchange->on_cancel([weak = std::weak_ptr(run)] {
      if (const auto alive = weak.lock()) alive->cancel();
    });
  });
}

net::ServerResponse end_mcp_session(mcp::Desk& desk, const net::ServerRequest& request, const std::string& client) {
  const std::string_view id = request.header("Mcp-Session-Id");
  if (id.empty()) return error_response(api::api_error(400, "The header Mcp-Session-Id is missing: it names the session that is to end."), {}, render_mcp_error);
  if (desk.close_session(id, client)) return {.status = 204, .content_type = ""};
  return error_response(api::api_error(404, "There is no such session (any more)."), {}, render_mcp_error);
}

std::string render_mcp_error(const api::ApiError& error) {
  return mcp::render_error({.code = error.status < 500 ? mcp::RpcCode::kInvalidRequest : mcp::RpcCode::kInternal,
                            .message = error.message,
                            .status = error.status});
}

}  // namespace hearth::server

#include "net/http_server.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/errc.hpp>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/http_connection.h"

namespace hearth::net {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;

// Beyond connections_max: how many are still told so; any more are closed without a word.
constexpr std::uint64_t kRefusedConnectionsMax = 64;
// The process is out of file descriptors: how long accepting pauses.
constexpr std::chrono::milliseconds kAcceptPause{100};
// A last resort against a connection that would not end.
constexpr std::chrono::milliseconds kStopLastResort{2'000};

Result<tcp::endpoint> parse_endpoint(const std::string& text, std::uint16_t port) {
  error_code ec;
  const auto address =
      asio::ip::make_address(text == "localhost" ? "127.0.0.1" : text, ec);
  if (ec) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is no IP address to listen on; use 127.0.0.1 for this machine "
                            "alone or 0.0.0.0 for all its addresses", text));
  }
  return tcp::endpoint(address, port);
}

Error listen_error(const error_code& ec, const tcp::endpoint& endpoint) {
  const std::string where = fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
  if (ec == asio::error::address_in_use) {
    return {Code::kUnavailable,
            fmt::format("port {} on {} is in use by another program; stop that program or choose "
                        "another port (0 picks a free one)",
                        endpoint.port(), endpoint.address().to_string())};
  }
  if (ec == asio::error::access_denied) {
    return {Code::kPermissionDenied,
            fmt::format("can't listen on {}: ports below 1024 belong to root; choose a higher one",
                        where)};
  }
  if (ec == boost::system::errc::address_not_available) {
    return {Code::kInvalidArgument,
            fmt::format("can't listen on {}: no network interface of this machine has that address",
                        where)};
  }
  return {Code::kUnavailable, fmt::format("can't listen on {}: {}", where, ec.message())};
}

error_code bind_to(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  return ec;
}

Result<> listen(ServerCore& core) {
  HEARTH_TRY(const tcp::endpoint endpoint,
             parse_endpoint(core.options.address, core.options.port));
  error_code ec = bind_to(core.acceptor, endpoint);
  if (!ec) core.acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return std::unexpected(listen_error(ec, endpoint));
  core.port = core.acceptor.local_endpoint(ec).port();
  core.address = endpoint.address().to_string();
  return {};
}

void log_failure(const std::exception_ptr& failure) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    log_error("net", fmt::format("a connection ended with an exception: {}", e.what()));
  }
}

void take_connection(const std::shared_ptr<ServerCore>& core, tcp::socket socket) {
  auto& counters = core->counters;
  const std::uint64_t open = counters.connections_open;
  const std::uint64_t limit = core->options.connections_max;
  const bool refuse = open >= limit;
  ++(refuse ? counters.connections_refused : counters.connections_accepted);
  if (open >= limit + kRefusedConnectionsMax) return;  // The socket closes here.
  const auto connection = std::make_shared<Connection>(core, std::move(socket), refuse);
  asio::co_spawn(core->io, connection->run(), [connection](const std::exception_ptr& failure) {
    log_failure(failure);
    connection->close_now();
  });
}

awaitable<void> accept_connections(ServerCore& core, std::weak_ptr<ServerCore> weak) {
  asio::steady_timer pause(core.io);
  while (core.acceptor.is_open()) {
    error_code ec;
    tcp::socket socket =
        co_await core.acceptor.async_accept(asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) {
      if (const auto alive = weak.lock()) take_connection(alive, std::move(socket));
    } else if (core.acceptor.is_open()) {
      // Out of descriptors or memory: those who wait stay in the kernel's queue meanwhile.
      log_warn("net", fmt::format("can't accept a connection: {}", ec.message()));
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
  }
}

std::vector<std::shared_ptr<Connection>> open_connections(const ServerCore& core) {
  std::vector<std::shared_ptr<Connection>> all;
  for (Connection* c : core.connections) {
    if (auto alive = c->weak_from_this().lock()) all.push_back(std::move(alive));
  }
  return all;
}

// Waits until the last connection has gone; the timer is cancelled by its destructor.
awaitable<void> wait_drained(ServerCore& core, std::chrono::milliseconds at_most) {
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  while (!core.connections.empty() && std::chrono::steady_clock::now() < deadline) {
    error_code ec;
    core.drained.expires_at(deadline);
    co_await core.drained.async_wait(asio::redirect_error(asio::use_awaitable, ec));
  }
}

awaitable<void> stop_connections(ServerCore& core, std::chrono::milliseconds grace) {
  core.stopping = true;
  error_code ec;
  core.acceptor.close(ec);
  for (const auto& c : open_connections(core)) c->begin_stop();
  co_await wait_drained(core, grace);
  for (const auto& c : open_connections(core)) c->cancel();
  co_await wait_drained(core, HttpServer::kStopFlush);
  for (const auto& c : open_connections(core)) {
    c->cancel();
    c->close_now();
  }
  co_await wait_drained(core, kStopLastResort);
  core.io.stop();
}

}  // namespace

bool is_loopback_address(std::string_view address) {
  if (equals_ignoring_case(address, "localhost")) return true;
  error_code ec;
  const auto parsed = asio::ip::make_address(std::string(address), ec);
  return !ec && parsed.is_loopback();
}

// ---- HttpExchange: a handle on the shared state ----

HttpExchange::HttpExchange(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
HttpExchange::~HttpExchange() { state_->abandon(); }

const ServerRequest& HttpExchange::request() const { return state_->request; }
void HttpExchange::respond(ServerResponse response) { state_->respond(std::move(response)); }
void HttpExchange::start_stream(ServerResponse head) { state_->start_stream(std::move(head)); }
bool HttpExchange::write(std::string_view bytes) { return state_->write(bytes); }
void HttpExchange::end_stream(bool close_connection, std::string_view last) { state_->end_stream(close_connection, last); }
void HttpExchange::on_cancel(std::function<void()> callback) { state_->on_cancel(std::move(callback)); }
void HttpExchange::on_idle(std::chrono::milliseconds every, std::function<void()> callback) {
  state_->on_idle(every, std::move(callback));
}
bool HttpExchange::cancelled() const { return state_->cancelled(); }

// ---- HttpServer ----

HttpServer::HttpServer(std::shared_ptr<ServerCore> core) : core_(std::move(core)) {}
HttpServer::~HttpServer() { stop(std::chrono::milliseconds{0}); }

Result<std::error_code> try_listening(const std::string& address, std::uint16_t port) {
  HEARTH_TRY(const tcp::endpoint endpoint, parse_endpoint(address, port));
  asio::io_context io;
  tcp::acceptor acceptor(io);
  return std::error_code(bind_to(acceptor, endpoint));
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(const HttpServerOptions& options,
                                                       HttpHandlers handlers) {
  auto core = std::make_shared<ServerCore>(options, std::move(handlers));
  HEARTH_TRY_VOID(listen(*core));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

void HttpServer::start() {
  HEARTH_CHECK(!core_->thread.joinable() && !core_->finished);
  asio::co_spawn(core_->io, accept_connections(*core_, core_), asio::detached);
  core_->thread = std::jthread([raw = core_.get()] {
    // A handler that throws ends its own turn only; the loop goes on.
    while (!raw->io.stopped()) {
      try {
        raw->io.run();
      } catch (const std::exception& e) {
        log_error("net", fmt::format("the I/O loop caught: {}", e.what()));
      }
    }
  });
}

void HttpServer::stop(std::chrono::milliseconds grace) {
  if (!core_->thread.joinable()) return;
  asio::co_spawn(core_->io, stop_connections(*core_, grace), asio::detached);
  core_->thread.join();
  core_->finished = true;
}

std::uint16_t HttpServer::port() const { return core_->port; }
const std::string& HttpServer::address() const { return core_->address; }

HttpServerStats HttpServer::stats() const {
  const auto& c = core_->counters;
  return {c.connections_open, c.connections_accepted, c.connections_refused, c.requests_running,
          c.requests, c.requests_cancelled, c.slow_readers, c.bytes_received, c.bytes_sent};
}

}  // namespace hearth::net

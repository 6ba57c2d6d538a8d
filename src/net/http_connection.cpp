// A rule for every coroutine here: `co_await` only as a statement or as the initialiser of a
// variable.  g++ 12 miscompiles some of the richer forms (conditions, operands, temporaries with
// destructors in the same expression).
#include "net/http_connection.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/log.h"

namespace hearth::net {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;

// Received ahead of what is being read or answered, beside one head; beyond it the socket is left to
// fill up.
constexpr std::size_t kPipelinedBytesMax = std::size_t{64} << 10;
// After a refusal: how long and how much of an unread body is thrown away, so that the peer reads the
// answer before it sees the connection reset.
constexpr std::chrono::milliseconds kDrainTimeout{1'500};
constexpr std::size_t kDrainBytesMax = std::size_t{64} << 20;
// "No deadline": far enough, and no overflow in any clock arithmetic.
constexpr std::chrono::hours kForever{24 * 365};

ServerResponse render_refusal(const HttpHandlers& handlers, unsigned status,
                              std::string_view message) {
  if (handlers.render_error) return handlers.render_error(status, message);
  return {.status = status, .content_type = "text/plain", .body = fmt::format("{}\n", message)};
}

ProtocolError over_limit(std::size_t limit, std::string_view what) {
  return {503, fmt::format("The server has reached its limit of {} {}.", limit, what)};
}

}  // namespace

// ---- ExchangeState: the handler's side ----

ExchangeState::ExchangeState(std::shared_ptr<ServerCore> core, std::weak_ptr<Connection> connection,
                             ServerRequest r)
    : request(std::move(r)), core_(std::move(core)), connection_(std::move(connection)) {}

void ExchangeState::wake() {
  if (wake_pending_ || closed_) return;
  wake_pending_ = true;
  asio::post(core_->io, [weak = connection_] {
    if (const auto connection = weak.lock()) connection->signal();
  });
}

void ExchangeState::respond(ServerResponse response) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kUnanswered) return;
  head_ = std::move(response);
  phase_ = Phase::kWhole;
  wake();
}

void ExchangeState::start_stream(ServerResponse head) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kUnanswered) return;
  pending_ = std::move(head.body);
  head_ = std::move(head);
  phase_ = Phase::kStreaming;
  streamed_ = true;
  wake();
}

bool ExchangeState::write(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (cut_off_ || phase_ != Phase::kStreaming) return false;
  if (pending_.size() + in_flight_bytes_ + bytes.size() > core_->options.stream_buffer_bytes_max) {
    overflowed_ = cut_off_ = true;
    wake_pending_ = false;  // The connection may be stuck in a write and past its last wake.
    wake();
    return false;
  }
  pending_.append(bytes);
  wake();
  return true;
}

void ExchangeState::end_stream(bool close_connection, std::string_view last) {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return;
  if (!cut_off_) pending_.append(last);
  close_after_ = close_after_ || close_connection;  // The head may have promised it.
  phase_ = Phase::kEnded;
  wake();
}

void ExchangeState::on_cancel(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    if (!told_) {
      cancel_callback_ = std::move(callback);
      return;
    }
  }
  callback();
}

void ExchangeState::on_idle(std::chrono::milliseconds every, std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  idle_every_ = every;
  idle_callback_ = std::move(callback);
  wake();
}

bool ExchangeState::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cut_off_;
}

void ExchangeState::abandon() {
  const std::lock_guard lock(mutex_);
  if (phase_ == Phase::kUnanswered) {
    head_ = render_refusal(core_->handlers, 500, "The request was dropped without an answer.");
    phase_ = Phase::kWhole;
  } else if (phase_ == Phase::kStreaming) {
    close_after_ = true;
    phase_ = Phase::kEnded;
  }
  wake();
}

// ---- ExchangeState: the connection's side ----

ExchangeState::Taken ExchangeState::take(std::string& wire, bool stopping) {
  const std::lock_guard lock(mutex_);
  wake_pending_ = false;
  if (overflowed_) return {.overflowed = true};
  if (phase_ == Phase::kUnanswered || end_taken_) return {.ended = end_taken_};

  const std::size_t before = wire.size();
  if (!std::exchange(head_taken_, true)) append_head(wire, stopping);
  append_body(wire);
  in_flight_bytes_ = wire.size() - before;
  end_taken_ = phase_ == Phase::kWhole || phase_ == Phase::kEnded;
  return {.ended = end_taken_};
}

// The framing that tells the peer where the answer ends.
void ExchangeState::append_head(std::string& wire, bool stopping) {
  const bool until_close = streamed_ && !request.http_1_1;
  const bool close = stopping || !request.keep_alive || until_close;
  close_after_ = close_after_ || close;
  std::string framing;
  if (streamed_) {
    framing = until_close ? "" : "Transfer-Encoding: chunked\r\n";
  } else if (head_.status != 204 && head_.status != 304) {  // These have no body.
    framing = fmt::format("Content-Length: {}\r\n", head_.body.size());
  }
  // An HTTP/1.0 client keeps the connection only if it is told so.
  if (!close && !request.http_1_1) framing += "Connection: keep-alive\r\n";
  append_response_head(wire, head_, framing, close);
}

void ExchangeState::append_body(std::string& wire) {
  const bool head_only = request.method == "HEAD";
  if (!streamed_) {
    if (!head_only) wire.append(head_.body);
    head_.body = {};
    return;
  }
  const bool chunked = request.http_1_1;
  if (!pending_.empty() && !head_only) {
    if (chunked) fmt::format_to(std::back_inserter(wire), "{:x}\r\n", pending_.size());
    wire.append(pending_);
    if (chunked) wire.append("\r\n");
  }
  pending_.clear();
  if (phase_ == Phase::kEnded && chunked && !head_only) wire.append("0\r\n\r\n");
}

void ExchangeState::sent(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  in_flight_bytes_ -= std::min(bytes, in_flight_bytes_);
}

void ExchangeState::tell_cancelled() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    told_ = true;
    callback = std::exchange(cancel_callback_, nullptr);
  }
  if (callback) callback();
}

void ExchangeState::cut_off() {
  {
    const std::lock_guard lock(mutex_);
    cut_off_ = true;
    pending_ = {};
  }
  tell_cancelled();
}

void ExchangeState::close() {
  std::function<void()> cancel_callback;
  std::function<void()> idle_callback;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  cut_off_ = true;
  cancel_callback.swap(cancel_callback_);
  idle_callback.swap(idle_callback_);
}

std::chrono::milliseconds ExchangeState::idle_every() const {
  const std::lock_guard lock(mutex_);
  return idle_callback_ ? idle_every_ : std::chrono::milliseconds{0};
}

void ExchangeState::tell_idle() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    callback = idle_callback_;
  }
  if (callback) callback();
}

bool ExchangeState::keeps_connection() const {
  const std::lock_guard lock(mutex_);
  return !close_after_;
}

// ---- Connection ----

Connection::Connection(std::shared_ptr<ServerCore> core, tcp::socket socket, bool refuse)
    : core_(*core), weak_core_(core), socket_(std::move(socket)), timer_(core->io), refuse_(refuse) {
  core_.connections.insert(this);
  ++core_.counters.connections_open;
  error_code ec;
  peer_address_ = socket_.remote_endpoint(ec).address().to_string();
  socket_.non_blocking(true, ec);
  socket_.set_option(tcp::no_delay(true), ec);
  if (core_.options.socket_send_bytes > 0) {
    const auto bytes = static_cast<int>(core_.options.socket_send_bytes);
    socket_.set_option(tcp::socket::send_buffer_size(bytes), ec);
  }
}

Connection::~Connection() {
  release_body();
  core_.connections.erase(this);
  --core_.counters.connections_open;
  if (core_.connections.empty() && !core_.finished) core_.drained.cancel();
}

awaitable<void> Connection::run() {
  const auto self = shared_from_this();
  co_await serve_requests();
  close_now();
}

awaitable<void> Connection::serve_requests() {
  watch_readable();
  while (!core_.stopping && keep_alive_) {
    const bool alive = co_await read_request();
    if (!alive) co_return;
    if (parser_ == nullptr) continue;  // Its head was enough to refuse it.
    co_await answer();
    if (peer_gone_) co_return;
  }
  co_await drain_and_close();
}

void Connection::signal() {
  signalled_ = true;
  timer_.cancel();
}

awaitable<bool> Connection::wait_until(Deadline deadline) {
  if (!signalled_) {
    error_code ec;
    timer_.expires_at(deadline);
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
  }
  co_return std::exchange(signalled_, false);
}

// ---- Connection: reading ----

void Connection::watch_readable() {
  const std::size_t in_bytes_max = core_.options.request.header_bytes_max + kPipelinedBytesMax;
  const bool full = in_.size() >= in_bytes_max && !discarding_;
  if (watching_read_ || peer_gone_ || full || !socket_.is_open()) return;
  watching_read_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const error_code& ec) {
    self->on_readable(ec);
  });
}

void Connection::on_readable(const error_code& waited) {
  watching_read_ = false;
  if (waited || !socket_.is_open()) {
    peer_gone_ = true;
    return signal();
  }
  error_code ec;
  const std::size_t n = socket_.read_some(asio::buffer(core_.scratch), ec);
  if (ec == asio::error::would_block || ec == asio::error::interrupted) return watch_readable();
  if (ec) {
    peer_gone_ = true;
  } else if (discarding_) {
    discarded_bytes_ += n;
  } else {
    in_.append(core_.scratch.data(), n);
  }
  core_.counters.bytes_received += n;
  signal();
  watch_readable();
}

awaitable<bool> Connection::read_more(Deadline deadline) {
  watch_readable();
  if (peer_gone_) co_return false;
  const bool in_time = co_await wait_until(deadline);
  if (!in_time) {
    const bool head = parser_->stage() == RequestParser::Stage::kHead;
    const ProtocolError late{408, head ? "The request's head did not arrive in time."
                                       : "The request's body did not arrive in time."};
    if (parser_->started()) co_await refuse(late);
    co_return false;
  }
  const bool idle_in_stop = core_.stopping && !parser_->started();
  co_return !idle_in_stop && !(peer_gone_ && in_.empty());
}

// True with parser_ holding a whole request, or with none if its head was answered already; false
// when the connection is over.
awaitable<bool> Connection::read_request() {
  parser_ = std::make_unique<RequestParser>(core_.options.request);
  Deadline deadline = Clock::now() + core_.options.idle_timeout;
  while (true) {
    const auto stage = parser_->stage();
    const bool was_started = parser_->started();
    const auto taken = parser_->feed(in_);
    if (!taken) {
      co_await refuse(taken.error());
      co_return false;
    }
    in_.erase(0, *taken);
    if (stage == RequestParser::Stage::kBody) {
      body_bytes_ += *taken;
      core_.body_bytes_held += *taken;
    }
    if (stage == RequestParser::Stage::kHead && parser_->stage() != stage) {
      const bool alive = co_await judge_head();
      if (!alive) co_return false;
      if (parser_ == nullptr) co_return true;
      deadline = Clock::now() + core_.options.body_timeout;
    } else if (!was_started && parser_->started()) {
      deadline = Clock::now() + core_.options.head_timeout;
    }
    if (parser_->stage() == RequestParser::Stage::kDone) co_return true;
    if (*taken > 0 && !in_.empty()) continue;
    const bool more = co_await read_more(deadline);
    if (!more) co_return false;
  }
}

// What the head alone decides: a refusal, or to go on and read the body.
awaitable<bool> Connection::judge_head() {
  ServerRequest& request = parser_->request();
  request.peer_address = peer_address_;
  const bool complete = parser_->stage() == RequestParser::Stage::kDone;
  if (refuse_) {
    co_await refuse(over_limit(core_.options.connections_max, "connections"));
    co_return false;
  }
  if (core_.handlers.check_head) {
    if (auto response = core_.handlers.check_head(request)) {
      keep_alive_ = complete && request.keep_alive && !core_.stopping;
      if (request.method == "HEAD") response->body.clear();
      const bool sent = co_await send_whole(*response, !keep_alive_);
      parser_.reset();
      if (sent && !keep_alive_) co_await drain_and_close();
      co_return sent && keep_alive_;
    }
  }
  if (core_.body_bytes_held + parser_->announced_body_bytes() > core_.options.body_bytes_total_max) {
    co_await refuse(over_limit(core_.options.body_bytes_total_max,
                               "bytes for the bodies of all requests together"));
    co_return false;
  }
  if (!complete && request.expects_continue && in_.empty()) {
    wire_ += "HTTP/1.1 100 Continue\r\n\r\n";
    const bool sent = co_await flush(nullptr);
    co_return sent;
  }
  co_return true;
}

void Connection::release_body() {
  core_.body_bytes_held -= std::exchange(body_bytes_, 0);
}

// ---- Connection: answering ----

awaitable<void> Connection::answer() {
  auto& counters = core_.counters;
  if (counters.requests_running >= core_.options.requests_max) {
    co_await refuse(over_limit(core_.options.requests_max, "requests at once"));
    co_return;
  }
  ++counters.requests;
  ++counters.requests_running;
  exchange_ = std::make_shared<ExchangeState>(weak_core_.lock(), weak_from_this(),
                                              std::move(parser_->request()));
  parser_.reset();
  try {
    core_.handlers.handle(std::make_shared<HttpExchange>(exchange_));
  } catch (const std::exception& e) {
    log_error("net", fmt::format("a request handler threw: {}", e.what()));
  }
  keep_alive_ = co_await send_answer(*exchange_);
  exchange_->close();
  exchange_.reset();
  release_body();
  --counters.requests_running;
}

// Sends what the handler produces until it ends the answer.  False: the connection must close.
awaitable<bool> Connection::send_answer(ExchangeState& exchange) {
  Deadline last_output = Clock::now();
  while (true) {
    const auto taken = exchange.take(wire_, core_.stopping);
    if (taken.overflowed) {
      give_up(exchange, true);
      co_return false;
    }
    if (!wire_.empty()) {
      const bool sent = co_await flush(&exchange);
      if (!sent) {
        give_up(exchange, exchange.cancelled());
        co_return false;
      }
      last_output = Clock::now();
      if (!taken.ended) continue;
    }
    if (taken.ended) co_return exchange.keeps_connection();
    if (peer_gone_) {
      give_up(exchange, false);
      co_return false;
    }
    const auto every = exchange.idle_every();
    const Deadline idle = every.count() > 0 ? last_output + every : Clock::now() + kForever;
    const bool signalled = co_await wait_until(idle);
    if (!signalled) {
      exchange.tell_idle();
      last_output = Clock::now();
    }
  }
}

void Connection::give_up(ExchangeState& exchange, bool slow) {
  ++core_.counters.requests_cancelled;
  if (slow) {
    ++core_.counters.slow_readers;
    // Resets the connection: what waits in the kernel for a reader that is stuck is freed, too.
    error_code ec;
    socket_.set_option(asio::socket_base::linger(true, 0), ec);
  }
  peer_gone_ = true;
  exchange.cut_off();
}

// Sends all of wire_.  False: the peer left, stopped reading, or was cut off.
awaitable<bool> Connection::flush(ExchangeState* exchange) {
  Deadline deadline = Clock::now() + core_.options.write_timeout;
  bool waited_too_long = false;
  while (wire_sent_ < wire_.size()) {
    error_code ec;
    const std::size_t n = socket_.write_some(
        asio::buffer(wire_.data() + wire_sent_, wire_.size() - wire_sent_), ec);
    if (n > 0) {
      wire_sent_ += n;
      core_.counters.bytes_sent += n;
      if (exchange != nullptr) exchange->sent(n);
      deadline = Clock::now() + core_.options.write_timeout;
      continue;
    }
    const bool full = ec == asio::error::would_block || ec == asio::error::try_again;
    if (!full || peer_gone_ || waited_too_long) co_return false;
    if (exchange != nullptr && exchange->cancelled()) co_return false;
    watch_writable();
    const bool in_time = co_await wait_until(deadline);
    waited_too_long = !in_time;
  }
  wire_.clear();
  wire_sent_ = 0;
  if (wire_.capacity() > kPipelinedBytesMax) wire_.shrink_to_fit();
  co_return true;
}

void Connection::watch_writable() {
  if (std::exchange(watching_write_, true)) return;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code&) {
    self->watching_write_ = false;
    self->signal();
  });
}

awaitable<bool> Connection::send_whole(const ServerResponse& response, bool close) {
  append_response_head(wire_, response, fmt::format("Content-Length: {}\r\n", response.body.size()),
                       close);
  wire_ += response.body;
  const bool sent = co_await flush(nullptr);
  co_return sent;
}

awaitable<void> Connection::refuse(ProtocolError reason) {
  keep_alive_ = false;
  const ServerResponse response = render_refusal(core_.handlers, reason.status, reason.message);
  const bool sent = co_await send_whole(response, true);
  if (sent) co_await drain_and_close();
}

// Ends our direction first and throws away what the peer still sends, for a while: closing with
// unread bytes would reset the connection and could take the answer from the peer.
awaitable<void> Connection::drain_and_close() {
  error_code ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  in_ = {};
  discarding_ = true;
  watch_readable();
  const Deadline deadline = Clock::now() + kDrainTimeout;
  while (!peer_gone_ && !core_.stopping && discarded_bytes_ < kDrainBytesMax) {
    const bool in_time = co_await wait_until(deadline);
    if (!in_time) break;
  }
  close_now();
}

// ---- Connection: stopping ----

void Connection::begin_stop() { signal(); }

void Connection::cancel() {
  if (const auto exchange = exchange_) exchange->tell_cancelled();
}

void Connection::close_now() {
  peer_gone_ = true;
  error_code ec;
  socket_.close(ec);
  signal();
}

}  // namespace hearth::net

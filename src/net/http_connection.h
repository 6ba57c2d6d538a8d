// One client's connection, and the state that it shares with the handler of its current
// request.  Internal to http_server: pulls in Asio.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>

#include "net/http_server.h"

namespace hearth::net {

class Connection;

// Everything that the I/O thread owns, and the counters that others may read.
//
// The set of connections is touched by the I/O thread alone; `io` comes last so that it, and with it
// every suspended coroutine, is destroyed first.
struct ServerCore {
  ServerCore(const HttpServerOptions& o, HttpHandlers h) : options(o), handlers(std::move(h)) {}

  const HttpServerOptions options;
  const HttpHandlers handlers;
  std::string address;
  std::uint16_t port = 0;

  struct Counters {
    std::atomic<std::uint64_t> connections_open{0}, connections_accepted{0}, connections_refused{0};
    std::atomic<std::uint64_t> requests_running{0}, requests{0}, requests_cancelled{0};
    std::atomic<std::uint64_t> slow_readers{0}, bytes_received{0}, bytes_sent{0};
  } counters;

  std::array<char, std::size_t{64} << 10> scratch{};  // Where every connection reads.
  std::size_t body_bytes_held = 0;
  std::unordered_set<Connection*> connections;
  bool stopping = false;
  bool finished = false;  // The I/O thread has ended; set by whoever joined it.

  std::jthread thread;
  boost::asio::io_context io{1};
  boost::asio::ip::tcp::acceptor acceptor{io};
  boost::asio::steady_timer drained{io};  // Cancelled when the last connection goes.
};

// What the handler's side and the connection share.  The handler appends under the lock; the
// connection swaps the pieces out.
class ExchangeState {
 public:
  ExchangeState(std::shared_ptr<ServerCore> core, std::weak_ptr<Connection> connection,
                ServerRequest request);

  // The handler's side; see HttpExchange.
  void respond(ServerResponse response);
  void start_stream(ServerResponse head);
  bool write(std::string_view bytes);
  void end_stream(bool close_connection, std::string_view last);
  void on_cancel(std::function<void()> callback);
  void on_idle(std::chrono::milliseconds every, std::function<void()> callback);
  bool cancelled() const;
  void abandon();  // The last handle went.

  // The connection's side, on the I/O thread.
  struct Taken {
    bool ended = false;      // No more will come.
    bool overflowed = false; // Cut off for reading too slowly.
  };
  // Appends what is ready to `wire`, framed.
  Taken take(std::string& wire, bool stopping);
  void sent(std::size_t bytes);  // So many of the taken bytes are with the kernel.
  void tell_cancelled();         // Calls the handler's callback; writes still count.
  void cut_off();                // From now on writes are dropped; tells, too.
  void close();                  // The answer is complete: drops the callbacks.
  std::chrono::milliseconds idle_every() const;
  void tell_idle();
  bool keeps_connection() const;  // After the end.

  const ServerRequest request;

 private:
  enum class Phase : std::uint8_t { kUnanswered, kWhole, kStreaming, kEnded };

  void wake();  // Lock held.
  void append_head(std::string& wire, bool stopping);
  void append_body(std::string& wire);

  const std::shared_ptr<ServerCore> core_;
  const std::weak_ptr<Connection> connection_;

  mutable std::mutex mutex_;
  Phase phase_ = Phase::kUnanswered;
  bool streamed_ = false;
  bool head_taken_ = false;
  bool end_taken_ = false;
  bool close_after_ = false;
  bool cut_off_ = false;
  bool told_ = false;
  bool overflowed_ = false;
  bool wake_pending_ = false;
  bool closed_ = false;
  ServerResponse head_;
  std::string pending_;
  std::size_t in_flight_bytes_ = 0;  // Taken and not yet with the kernel.
  std::function<void()> cancel_callback_;
  std::function<void()> idle_callback_;
  std::chrono::milliseconds idle_every_{0};
};

// Threading: the I/O thread alone.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `refuse`: too many are open; the first request is answered 503.
  Connection(std::shared_ptr<ServerCore> core, boost::asio::ip::tcp::socket socket, bool refuse);
  ~Connection();

  // Serves until the peer or a limit ends it.  Holds the connection alive.
  boost::asio::awaitable<void> run();

  void signal();       // Something happened: the coroutine looks again.
  void begin_stop();   // Idle: closes; else after the current answer.
  void cancel();       // Tells the handler that its time is up.
  void close_now();

 private:
  using Clock = std::chrono::steady_clock;
  using Deadline = Clock::time_point;

  boost::asio::awaitable<void> serve_requests();
  boost::asio::awaitable<bool> read_request();
  boost::asio::awaitable<bool> read_more(Deadline deadline);
  boost::asio::awaitable<bool> judge_head();
  boost::asio::awaitable<void> answer();
  boost::asio::awaitable<bool> send_answer(ExchangeState& exchange);
  boost::asio::awaitable<void> refuse(ProtocolError reason);
  boost::asio::awaitable<bool> send_whole(const ServerResponse& response, bool close);
  boost::asio::awaitable<bool> flush(ExchangeState* exchange);
  boost::asio::awaitable<void> drain_and_close();
  // True when signalled, false when the deadline passed first.
  boost::asio::awaitable<bool> wait_until(Deadline deadline);

  void watch_readable();
  void on_readable(const boost::system::error_code& ec);
  void watch_writable();
  void release_body();
  void give_up(ExchangeState& exchange, bool slow);

  // The owner of `io` outlives every coroutine on it, so a reference suffices; a shared pointer here
  // would be a cycle through io's queue.
  ServerCore& core_;
  std::weak_ptr<ServerCore> weak_core_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  std::string peer_address_;
  std::unique_ptr<RequestParser> parser_;
  std::shared_ptr<ExchangeState> exchange_;
  std::string in_;    // Received, not yet consumed.
  std::string wire_;  // Being sent.
  std::size_t wire_sent_ = 0;
  std::size_t body_bytes_ = 0;  // This request's share of core_.body_bytes_held.
  std::size_t discarded_bytes_ = 0;
  bool refuse_ = false;
  bool keep_alive_ = true;
  bool signalled_ = false;
  bool watching_read_ = false;
  bool watching_write_ = false;
  bool peer_gone_ = false;
  bool discarding_ = false;
};

}  // namespace hearth::net

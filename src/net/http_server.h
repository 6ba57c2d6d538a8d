// An HTTP/1.1 server for thousands of slow, streaming answers (Boost.Asio underneath,
// which this hides).
//
// Shape: one I/O thread runs every connection as a coroutine; handlers run elsewhere or
// at once and answer through an HttpExchange, from any thread, without ever blocking:
// bytes go into the exchange's bounded buffer and the I/O thread is woken once.  A
// connection that waits owns no read buffer: it waits for readability and reads into
// one scratch buffer that all share, which is why a thousand open streams are cheap.
//
// While an answer is under way the connection goes on watching its socket, so a client
// that leaves is noticed at once and the handler is told through on_cancel.  A client
// that reads too slowly is cancelled as soon as more than stream_buffer_bytes_max wait
// for it: a stream is never paused, because whoever produces it serves others, too.
//
// What arrives is limited by name (HttpServerOptions), and what breaks HTTP is answered
// by the server itself in the shape that `render_error` gives it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "base/result.h"
#include "net/http_message.h"
#include "net/http_request_parser.h"

namespace hearth::net {

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // An IP address, or "localhost".
  std::uint16_t port = 0;             // 0: a free one.
  RequestLimits request;
  std::uint32_t connections_max = 4096;  // More are answered 503.
  std::uint32_t requests_max = 1024;     // Being answered at once; more are answered 503.
  std::size_t body_bytes_total_max = std::size_t{256} << 20;  // Of all requests being read or answered.
  std::size_t stream_buffer_bytes_max = std::size_t{256} << 10;  // Waiting for a slow reader.
  std::size_t socket_send_bytes = std::size_t{256} << 10;  // The kernel's part; 0: its own default.
  std::chrono::milliseconds idle_timeout{75'000};  // Between requests.
  std::chrono::milliseconds head_timeout{10'000};  // From a head's first byte to its last.
  std::chrono::milliseconds body_timeout{60'000};  // From the end of the head to the end of the body.
  std::chrono::milliseconds write_timeout{30'000};  // Without a byte accepted by the peer.
};

class ExchangeState;

// One request and the way to its answer.  Exactly one of respond() or start_stream() counts; if the
// last handle goes before either, the client gets a 500.
//
// Threading: all members may be called from any thread; calls for one answer must be ordered by the
// caller.  None blocks; after the client has left all are no-ops.
class HttpExchange {
 public:
  explicit HttpExchange(std::shared_ptr<ExchangeState> state);
  ~HttpExchange();
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  const ServerRequest& request() const;

  void respond(ServerResponse response);

  // Sends the head (its `body` becomes the first piece); then write() as often as needed, and
  // end_stream().  The pieces are sent chunked, or until close for HTTP/1.0.
  void start_stream(ServerResponse head);
  // False: the client has left or was cut off; on_cancel has been or will be called.
  bool write(std::string_view bytes);
  // `close_connection`: after a failure that the client must not mistake for an end.  `last` goes out before
  // the end, however much waits already: an answer that comes in one piece may be long.
  void end_stream(bool close_connection = false, std::string_view last = {});

  // `callback` is called at most once, on the I/O thread, when nobody waits for the answer any more
  // (the client left or reads too slowly, the server stops).  At once if that has happened already.
  void on_cancel(std::function<void()> callback);
  // `callback` is called on the I/O thread each time that `every` passes without output, until the
  // answer ends: the place to send a heartbeat.
  void on_idle(std::chrono::milliseconds every, std::function<void()> callback);
  bool cancelled() const;

 private:
  std::shared_ptr<ExchangeState> state_;
};

struct HttpHandlers {
  // Judges a request by its head, before the body is read; a response refuses it.  On the I/O thread:
  // must not block.
  std::function<std::optional<ServerResponse>(const ServerRequest&)> check_head;
  // Answers, now or later.  On the I/O thread: must not block.
  std::function<void(std::shared_ptr<HttpExchange>)> handle;
  // The body of the server's own refusals (400, 408, 413, 431, 500, 501, 503, ...).
  std::function<ServerResponse(unsigned status, std::string_view message)> render_error;
};

struct HttpServerStats {
  std::uint64_t connections_open = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t requests_running = 0;
  std::uint64_t requests = 0;           // Handed to `handle`.
  std::uint64_t requests_cancelled = 0; // The client left before the answer's end.
  std::uint64_t slow_readers = 0;       // Of these, cut off for reading too slowly.
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
};

// What a server would meet that listened there now; nothing does afterwards.  kInvalidArgument for an
// address that is none.
Result<std::error_code> try_listening(const std::string& address, std::uint16_t port);

struct ServerCore;

// Threading: create, start, stop and the destructor on one thread outside the server; the rest anywhere.
class HttpServer {
 public:
  // Listens.  kInvalidArgument for an address that is none, kUnavailable for a port in use,
  // kPermissionDenied for one that is not ours to take.
  static Result<std::unique_ptr<HttpServer>> create(const HttpServerOptions& options,
                                                    HttpHandlers handlers);
  ~HttpServer();  // stop(0 ms).

  // Starts the I/O thread, once: from now on handlers are called.  Who connects before waits.
  void start();

  std::uint16_t port() const;
  const std::string& address() const;  // As an IP address.
  HttpServerStats stats() const;

  // Stops accepting, closes idle connections, gives running requests `grace` to finish, then cancels
  // them, and returns when all connections are closed (at most kStopFlush after the grace).
  void stop(std::chrono::milliseconds grace);
  static constexpr std::chrono::milliseconds kStopFlush{1'000};  // A busy machine's threads need as long to say that they end.

 private:
  explicit HttpServer(std::shared_ptr<ServerCore> core);
  std::shared_ptr<ServerCore> core_;
};

// True for 127.0.0.0/8, ::1 and "localhost".
bool is_loopback_address(std::string_view address);

}  // namespace hearth::net

// An HTTP client for calls whose answers arrive in pieces: POST with a body (or GET), the response
// streamed to a sink.  libcurl's multi interface underneath, on one thread of its own.
//
// What it does not do, on purpose: follow redirects (a body that was approved for one
// host must not travel to another), retry (each attempt is recorded in the ledger, so
// only the caller may repeat one), and reuse connections (libcurl would quietly send a
// request again when a kept connection turns out to be dead).  Certificates are always
// verified; proxies are those of the environment, as curl reads them.
//
// Headers marked secret never reach a log or an error message.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::net {

struct HttpHeader {
  std::string name;
  std::string value;
  bool secret = false;
};

struct HttpTimeouts {
  std::chrono::milliseconds connect{5'000};
  std::chrono::milliseconds first_byte{60'000};  // From the start to the response's first byte.
  std::chrono::milliseconds idle{60'000};        // Between two pieces of the response.
  std::chrono::milliseconds total{600'000};
};

struct HttpPost {
  std::string url;  // http or https.
  std::vector<HttpHeader> headers;
  std::string body;
  HttpTimeouts timeouts;
  std::uint64_t response_bytes_max = std::uint64_t{16} << 20;
  bool is_get = false;    // A GET, without a body.
  bool no_proxy = false;  // Straight to the host, whatever the environment says: for this machine's own.
};

struct HttpResponseHead {
  int status = 0;
  std::vector<HttpHeader> headers;

  // The first header of that name, in any case; nullptr if there is none.
  const std::string* find(std::string_view name) const;
};

// How a call ended without a whole response.
enum class HttpFailure : std::uint8_t {
  kNone,     // A whole response arrived, or enough for its sink, whatever its status.
  kConnect,  // No connection: unknown host, refused, TLS, proxy.
  kTimeout,
  kBroken,    // The peer hung up early or does not speak HTTP.
  kTooLarge,  // Cut off at response_bytes_max.
  kCancelled,
};

struct HttpEnd {
  HttpFailure failure = HttpFailure::kNone;
  std::string detail;          // One sentence, for any failure but kNone.
  bool may_have_sent = false;  // False only if no byte of the request left this machine.
  std::uint64_t body_bytes_in = 0;
};

enum class HttpCallId : std::uint64_t {};

// Receives a call's events on the client's thread: do little, never block.  on_end is the last,
// exactly once.
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  virtual void on_head(const HttpResponseHead& head) = 0;
  virtual bool on_body(std::string_view piece) = 0;  // False: that is enough, the call ends well.
  virtual void on_end(const HttpEnd& end) = 0;
};

// Threading: all members from any thread, also from inside a sink.
class HttpClient {
 public:
  static Result<std::unique_ptr<HttpClient>> create();
  ~HttpClient();  // Cancels what runs; every sink gets its on_end first.
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Never fails at once: what is wrong arrives at the sink.
  HttpCallId post(HttpPost request, std::shared_ptr<HttpSink> sink);
  void cancel(HttpCallId call);  // No effect on one that has ended.

 private:
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::net

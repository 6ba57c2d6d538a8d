// Bytes from a socket to one request, however they are cut (Boost.Beast's parser, which
// this hides: its headers are heavy and stay in one translation unit).
//
// The parser holds no more than it must: the caller keeps bytes that are not consumed
// yet (at most a header, or one chunk's header), and a body grows as it arrives, never by
// what Content-Length claims.
//
// What is refused although a lenient server would take it, because two readers could
// disagree about where the request ends or whom it is for: a transfer coding other than
// `chunked`, a length beside it, several `Host` headers, none in HTTP/1.1, a target that is no
// path.
#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "net/http_message.h"

namespace hearth::net {

struct RequestLimits {
  std::size_t header_bytes_max = std::size_t{32} << 10;  // Request line and headers together.
  std::size_t body_bytes_max = std::size_t{16} << 20;
};

// A request that can't be answered by a handler; the connection closes after the answer.
struct ProtocolError {
  unsigned status;      // 400, 413, 431, 501 or 505.
  std::string message;  // One sentence that names the thing and the limit.
};

// Parses one request; make a new one for the next.
//
// Threading: externally synchronised.
class RequestParser {
 public:
  enum class Stage { kHead, kBody, kDone };  // What is awaited next.

  explicit RequestParser(const RequestLimits& limits);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;

  // Consumes a prefix of `bytes` and returns its length; call again with the rest and more.  Stops
  // when the head is complete, so that the caller can judge it before any of the body, and at the
  // end of the request.  After an error the parser is spent.
  std::expected<std::size_t, ProtocolError> feed(std::string_view bytes);

  Stage stage() const;
  // Valid from kBody on; its `body` is complete at kDone.
  ServerRequest& request();
  // What Content-Length claims; 0 for a chunked or absent body.
  std::size_t announced_body_bytes() const;
  // True once any byte was consumed or a head is under way.
  bool started() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth::net

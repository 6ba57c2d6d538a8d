// One GET whose body is handed on piece by piece: what downloads need.  Unlike http_client.h it
// follows redirects (nothing private is sent but a token, and that only to the first host) and
// blocks the calling thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_client.h"

namespace hearth::net {

struct HttpGet {
  std::string url;  // http or https; redirects never lead from https to http.
  std::string bearer_token;  // Sent to the URL's own host only; empty: none.
  std::string accept;        // Empty: anything.
  std::uint64_t first_byte = 0;  // From where on; a server may ignore it (status 200, not 206).
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds idle_timeout{30'000};  // Without a byte.
};

// Receives the last response of a chain of redirects.  Returning false ends the transfer.
struct HttpGetSink {
  std::function<bool(const HttpResponseHead& head)> on_head;
  std::function<bool(std::string_view piece)> on_body;
  std::function<bool()> is_stopped;  // Asked about once a second, also while nothing comes.
};

// How it ended.  `failure` is kCancelled where the sink said so.
struct HttpGetEnd {
  HttpFailure failure = HttpFailure::kNone;
  std::string detail;  // One sentence, for any failure but kNone.
};

// Threading: any thread; blocks until the response has ended.
HttpGetEnd http_get(const HttpGet& request, const HttpGetSink& sink);

// A small document as a whole.  kUnavailable: no answer, or a status of 5xx and 429;
// kPermissionDenied: 401 and 403; kNotFound: 404; kInvalidArgument: any other status but 200, and
// more than `bytes_max`.
Result<std::string> http_get_text(const HttpGet& request, std::size_t bytes_max);

// What a status other than success means, as an error that names the URL.
Error http_status_error(int status, std::string_view url);

}  // namespace hearth::net

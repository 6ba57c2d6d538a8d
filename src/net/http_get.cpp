#include "net/http_get.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "net/curl_failure.h"
#include "net/response_head.h"

namespace hearth::net {
namespace {

constexpr long kRedirectsMax = 10;

// State of one transfer, on the caller's thread.
struct Transfer {
  const HttpGetSink& sink;
  CURL* easy = nullptr;
  ResponseHeadReader head;
  bool head_given = false;
  bool head_too_large = false;
  bool stopped = false;

  // Whether the sink wants the rest.
  bool give_head() {
    if (head_given) return !stopped;
    head_given = true;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    head.head().status = static_cast<int>(status);
    stopped = sink.on_head && !sink.on_head(head.head());
    return !stopped;
  }
};

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  transfer.head_too_large = !transfer.head.take({data, size * count});
  return transfer.head_too_large ? 0 : size * count;  // Another count makes curl give up.
}

std::size_t on_data(char* data, std::size_t size, std::size_t count, void* self) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  if (!transfer.give_head()) return 0;
  if (!transfer.sink.on_body({data, size * count})) {
    transfer.stopped = true;
    return 0;
  }
  return size * count;
}

int on_tick(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Transfer& transfer = *static_cast<Transfer*>(self);
  if (transfer.sink.is_stopped && transfer.sink.is_stopped()) transfer.stopped = true;
  return transfer.stopped ? 1 : 0;
}

void set_up(CURL* easy, const HttpGet& request, Transfer& transfer, curl_slist* headers) {
  const bool is_https = request.url.starts_with("https:");
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, is_https ? "https" : "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, kRedirectsMax);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
  // One byte within the time is enough: a slow line is no broken one.
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                   std::max(1L, static_cast<long>(request.idle_timeout.count() / 1000)));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_data);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &on_tick);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
  if (!request.bearer_token.empty()) {
    // curl keeps a bearer token from hosts that a redirect leads to.
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, request.bearer_token.c_str());
  }
  if (request.first_byte > 0) {
    // Not curl's resuming, which takes a whole answer for an error.
    curl_easy_setopt(easy, CURLOPT_RANGE, fmt::format("{}-", request.first_byte).c_str());
  }
}

}  // namespace

HttpGetEnd http_get(const HttpGet& request, const HttpGetSink& sink) {
  if (!initialise_curl()) return {HttpFailure::kConnect, "libcurl can't be initialised"};
  const std::unique_ptr<CURL, void (*)(CURL*)> easy(curl_easy_init(), curl_easy_cleanup);
  if (easy == nullptr) return {HttpFailure::kConnect, "out of memory for another call"};
  curl_slist* list = curl_slist_append(nullptr, "User-Agent: hearth");
  if (!request.accept.empty()) list = curl_slist_append(list, ("Accept: " + request.accept).c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl_slist_free_all);
  Transfer transfer{.sink = sink, .easy = easy.get(), .head = {}};
  char words[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, words);
  set_up(easy.get(), request, transfer, headers.get());
  const CURLcode code = curl_easy_perform(easy.get());
  if (transfer.stopped) return {HttpFailure::kCancelled, "the transfer was ended"};
  if (transfer.head_too_large) {
    return {HttpFailure::kTooLarge, fmt::format("the answer's headers exceed the limit of {} bytes",
                                                ResponseHeadReader::kBytesMax)};
  }
  if (code == CURLE_OK) {
    if (!transfer.give_head()) return {HttpFailure::kCancelled, "the transfer was ended"};
    return {};
  }
  return {failure_of(code), words[0] != '\0' ? words : curl_easy_strerror(code)};
}

Error http_status_error(int status, std::string_view url) {
  const auto error = [&](Code code, std::string_view words) {
    return Error{code, fmt::format("'{}' answers {}: {}", url, status, words)};
  };
  if (status == 401 || status == 403) return error(Code::kPermissionDenied, "a token is needed, or this one may not read it");
  if (status == 404) return error(Code::kNotFound, "there is no such thing");
  if (status == 429) return error(Code::kUnavailable, "too many requests; try again later");
  if (status >= 500) return error(Code::kUnavailable, "the server has a problem; try again later");
  return error(Code::kInvalidArgument, "this is not what was asked for");
}

Result<std::string> http_get_text(const HttpGet& request, std::size_t bytes_max) {
  int status = 0;
  std::string text;
  bool too_large = false;
  const HttpGetEnd end = http_get(
      request, {.on_head = [&](const HttpResponseHead& head) { return (status = head.status) == 200; },
                .on_body =
                    [&](std::string_view piece) {
                      too_large = text.size() + piece.size() > bytes_max;
                      if (!too_large) text += piece;
                      return !too_large;
                    },
                .is_stopped = {}});
  if (status != 0 && status != 200) return std::unexpected(http_status_error(status, request.url));
  if (too_large) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is larger than the limit of {} bytes", request.url, bytes_max));
  }
  if (end.failure != HttpFailure::kNone) {
    return fail(Code::kUnavailable, fmt::format("'{}' can't be reached: {}", request.url, end.detail));
  }
  return text;
}

}  // namespace hearth::net

// Fuzzes the path from bytes to a request: however the bytes are cut, the same request
// comes out, within its limits, and nothing of a next request is consumed.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_message.h"
#include "net/http_request_parser.h"
#include "net/router.h"

namespace {

using hearth::net::RequestLimits;
using hearth::net::RequestParser;
using hearth::net::ServerRequest;

constexpr RequestLimits kLimits{.header_bytes_max = 4'000, .body_bytes_max = 2'000};

struct Outcome {
  std::optional<ServerRequest> request;
  std::size_t consumed = 0;
};

// Offers the bytes as a connection does: piece by piece, with what was not consumed.
Outcome parse(std::string_view bytes, std::size_t piece_bytes) {
  RequestParser parser(kLimits);
  Outcome outcome;
  std::string pending;
  while (!bytes.empty() && parser.stage() != RequestParser::Stage::kDone) {
    const std::size_t n = std::min(piece_bytes, bytes.size());
    pending.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    while (!pending.empty() && parser.stage() != RequestParser::Stage::kDone) {
      const auto stage = parser.stage();
      const auto taken = parser.feed(pending);
      if (!taken) {
        HEARTH_CHECK(taken.error().status >= 400 && taken.error().status < 600);
        return outcome;
      }
      HEARTH_CHECK(*taken <= pending.size());
      pending.erase(0, *taken);
      outcome.consumed += *taken;
      if (*taken == 0 && parser.stage() == stage) break;
    }
    HEARTH_CHECK(pending.size() <= kLimits.header_bytes_max + piece_bytes);
  }
  if (parser.stage() == RequestParser::Stage::kDone) outcome.request = std::move(parser.request());
  return outcome;
}

void check_equal(const Outcome& a, const Outcome& b) {
  HEARTH_CHECK(a.request.has_value() == b.request.has_value());
  if (!a.request) return;
  HEARTH_CHECK(a.consumed == b.consumed);
  HEARTH_CHECK(a.request->method == b.request->method);
  HEARTH_CHECK(a.request->target == b.request->target);
  HEARTH_CHECK(a.request->headers == b.request->headers);
  HEARTH_CHECK(a.request->body == b.request->body);
}

// What handlers do with a request's parts.
void use(const ServerRequest& request) {
  static constexpr hearth::net::Route kRoutes[] = {{"GET", "/v1/models/*", 1}, {"POST", "/v1/chat", 2}};
  HEARTH_CHECK(request.body.size() <= kLimits.body_bytes_max);
  HEARTH_CHECK(request.target.starts_with('/') || request.target == "*");
  const auto match = hearth::net::match_route(kRoutes, request.method, request.path());
  std::string head;
  hearth::net::append_response_head(
      head, {.headers = {{"X", std::string(request.header("Origin"))}, {"Y", match.rest}}}, "", false);
  HEARTH_CHECK(std::ranges::count(head, '\n') == 6);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, std::max<std::size_t>(size, 1));
  check_equal(whole, parse(bytes, 1));
  check_equal(whole, parse(bytes, 7));
  if (whole.request) use(*whole.request);
  return 0;
}

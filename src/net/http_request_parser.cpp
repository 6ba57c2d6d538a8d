#include "net/http_request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/optional.hpp>

#include "base/result.h"

namespace hearth::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;

// Beast's string_body reserves the announced length before a byte has come; a thousand idle
// connections that each announce 16 MiB would take 16 GiB.  This body grows as it arrives.
struct GrowingBody {
  using value_type = std::string;

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>&, error_code& ec) { ec = {}; }

    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& ec) {
      ec = {};
      std::size_t taken = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer piece = *it;
        body_.append(static_cast<const char*>(piece.data()), piece.size());
        taken += piece.size();
      }
      return taken;
    }

    void finish(error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

ProtocolError protocol_error(const error_code& ec, const RequestLimits& limits) {
  if (ec == http::error::header_limit) {
    return {431, fmt::format("The request's headers exceed the limit of {} bytes.",
                             limits.header_bytes_max)};
  }
  if (ec == http::error::body_limit) {
    return {413, fmt::format("The request's body exceeds the limit of {} bytes.",
                             limits.body_bytes_max)};
  }
  if (ec == http::error::bad_version) {
    return {505, "The request is not HTTP/1.0 or HTTP/1.1 (this server speaks no TLS and no HTTP/2)."};
  }
  return {400, fmt::format("The request is not valid HTTP/1.1: {}.", ec.message())};
}

}  // namespace

struct RequestParser::State {
  explicit State(const RequestLimits& l) : limits(l) {
    parser.header_limit(static_cast<std::uint32_t>(
        std::min<std::size_t>(l.header_bytes_max, std::size_t{1} << 30)));
    parser.body_limit(l.body_bytes_max);
    parser.eager(false);
  }

  std::expected<void, ProtocolError> take_head();
  std::expected<void, ProtocolError> check_head() const;

  RequestLimits limits;
  http::request_parser<GrowingBody> parser;
  ServerRequest request;
  Stage stage = Stage::kHead;
  std::size_t head_bytes = 0;
  bool started = false;
};

RequestParser::RequestParser(const RequestLimits& limits)
    : state_(std::make_unique<State>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;

RequestParser::Stage RequestParser::stage() const { return state_->stage; }
ServerRequest& RequestParser::request() { return state_->request; }
bool RequestParser::started() const { return state_->started; }

std::size_t RequestParser::announced_body_bytes() const {
  if (state_->stage == Stage::kHead) return 0;
  const auto length = state_->parser.content_length();
  return length ? static_cast<std::size_t>(*length) : 0;
}

// Moves the head out of Beast's message; trailers that come later stay behind in it.
std::expected<void, ProtocolError> RequestParser::State::take_head() {
  const auto& message = parser.get();
  request.method = view(message.method_string());
  request.target = view(message.target());
  request.http_1_1 = message.version() == 11;
  request.keep_alive = message.keep_alive();
  for (const auto& field : message) {
    request.headers.emplace_back(view(field.name_string()), view(field.value()));
  }
  request.expects_continue =
      request.http_1_1 && equals_ignoring_case(request.header("Expect"), "100-continue");
  return check_head();
}

std::expected<void, ProtocolError> RequestParser::State::check_head() const {
  const auto refuse = [](unsigned status, std::string message) {
    return std::unexpected(ProtocolError{status, std::move(message)});
  };
  if (!request.target.starts_with('/') && request.target != "*") {
    return refuse(400, "The request's target must be a path; this server is no proxy.");
  }
  const std::size_t n_hosts = request.header_count("Host");
  if (n_hosts > 1 || (request.http_1_1 && n_hosts == 0)) {
    return refuse(400, fmt::format("The request must have one Host header, {} found.", n_hosts));
  }
  const std::string_view coding = request.header("Transfer-Encoding");
  if (!coding.empty() && (!equals_ignoring_case(coding, "chunked") || !request.http_1_1)) {
    return refuse(501, "The request's transfer coding must be 'chunked' or none.");
  }
  const std::string_view expect = request.header("Expect");
  if (!expect.empty() && !equals_ignoring_case(expect, "100-continue")) {
    return refuse(417, "The request's Expect header must be '100-continue' or absent.");
  }
  return {};
}

std::expected<std::size_t, ProtocolError> RequestParser::feed(std::string_view bytes) {
  State& s = *state_;
  HEARTH_CHECK(s.stage != Stage::kDone);
  if (bytes.empty()) return 0;
  s.started = true;

  error_code ec;
  const std::size_t taken = s.parser.put(boost::asio::buffer(bytes), ec);
  if (ec && ec != http::error::need_more) return std::unexpected(protocol_error(ec, s.limits));

  // Beast applies its limit to what it is given at a time; fields that come one by one would pass.
  if (s.stage == Stage::kHead && (s.head_bytes += taken) > s.limits.header_bytes_max) {
    return std::unexpected(protocol_error(http::error::header_limit, s.limits));
  }
  if (s.stage == Stage::kHead && s.parser.is_header_done()) {
    if (auto head = s.take_head(); !head) return std::unexpected(std::move(head).error());
    s.stage = Stage::kBody;
    s.parser.eager(true);
  }
  if (s.parser.is_done()) {
    s.request.body = std::move(s.parser.get().body());
    s.stage = Stage::kDone;
  }
  // A chunk header or trailer that never ends would otherwise grow the caller's buffer for ever.
  if (ec == http::error::need_more && bytes.size() - taken > s.limits.header_bytes_max) {
    return std::unexpected(protocol_error(http::error::header_limit, s.limits));
  }
  return taken;
}

}  // namespace hearth::net

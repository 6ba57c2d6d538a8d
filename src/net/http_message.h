// A request as the server's handlers see it, and the answer that they give.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::net {

// Names compare without regard to case.
using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct ServerRequest {
  std::string method;        // "GET", as sent: methods are case-sensitive.
  std::string target;        // "/v1/models/a%2Fb?x=1", as sent; always starts with '/' (or is "*").
  HeaderList headers;        // Without trailers.
  std::string body;          // Without its transfer coding.
  std::string peer_address;  // "127.0.0.1"
  bool http_1_1 = true;
  bool keep_alive = true;
  bool expects_continue = false;

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
  // The first header of that name; empty if there is none.
  std::string_view header(std::string_view name) const;
  std::size_t header_count(std::string_view name) const;
};

struct ServerResponse {
  unsigned status = 200;
  std::string content_type = "application/json";  // Empty: no such header.
  std::string body;
  HeaderList headers;  // Beside Content-Type, Content-Length, Date and Connection.
};

// "Not Found" for 404; "Status" for a number without a name.
std::string_view reason_phrase(unsigned status);

bool equals_ignoring_case(std::string_view a, std::string_view b);

// True if the comma-separated list holds `token`, without regard to case.
bool list_has_token(std::string_view list, std::string_view token);

// %41 becomes 'A'; false for a broken or cut escape, and for an escaped NUL.
bool percent_decode(std::string_view text, std::string& out);

// The status line and headers, up to and with the empty line.  Control characters in values become
// spaces, so that no value can add a header.
void append_response_head(std::string& out, const ServerResponse& head, std::string_view framing,
                          bool close);

}  // namespace hearth::net

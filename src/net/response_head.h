// Reading a response's header lines as libcurl hands them on, one at a time, within a limit.
#pragma once

#include <cstddef>
#include <string_view>

#include "net/http_client.h"

namespace hearth::net {

// Threading: externally synchronised.
class ResponseHeadReader {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{256} << 10;  // Of all lines of a transfer.

  // Takes one line.  False once there are more than kBytesMax.  A status line begins a new head: of
  // a proxy's answer, after "100 Continue", or of what a redirect leads to.
  bool take(std::string_view line);

  HttpResponseHead& head() { return head_; }

 private:
  HttpResponseHead head_;
  std::size_t bytes_ = 0;
};

}  // namespace hearth::net

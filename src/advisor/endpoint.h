// The adviser's address, checked: where a conversation may go must not be left to how
// somebody's URL parser reads an odd string.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::advisor {

struct Endpoint {
  std::string base;      // base_url without a final slash.
  std::string chat_url;  // base + "/chat/completions".
  std::string host;      // Lower case, without port.
  // How this endpoint wants the limit of output tokens named: OpenAI's own refuses the old name,
  // which all others know.
  std::string_view max_tokens_key;
  bool is_loopback = false;  // Its address is one of this machine's own.
};

// kInvalidArgument unless `base_url` is http or https with a host, and without credentials, query,
// fragment or control characters; plain http only for this machine and private networks.  `key` is how
// messages name the setting.
Result<Endpoint> parse_endpoint(const std::string& base_url,
                                std::string_view key = "advisor.base_url");

}  // namespace hearth::advisor

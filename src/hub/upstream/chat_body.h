// A request as the body that another server gets.
//
// What every server of OpenAI's API takes is passed on.  What only some take is a row of a table: where
// the server is not known to take it, it is left out and named, or, where the answer would be another
// kind of answer without it, refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hub/chat.h"
#include "hub/upstream/listing.h"

namespace hearth::hub {

struct BodyOptions {
  std::string model;  // As the server calls it.
  ServerKind kind = ServerKind::kUnknown;
  std::string_view max_tokens_key = "max_tokens";
  std::uint32_t max_tokens_default = 0;  // Where the request sets no limit; 0: none either.
  bool keeps_nothing = false;  // Say that nothing is to be stored there,
  bool asks_nobody = false;    // and (to another Hearth) that nobody else is to be asked.
};

struct ChatBody {
  std::string json;
  std::uint32_t max_tokens = 0;  // As it says; 0: no limit.
  std::string left_out;          // Names of what the server does not take: "top_k, min_p".
};

// As OpenAI's chat.  kUnsupported names what such a server can't do.
Result<ChatBody> make_chat_body(const ChatRequest& request, const BodyOptions& options);

}  // namespace hearth::hub

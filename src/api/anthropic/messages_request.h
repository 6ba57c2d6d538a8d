// Anthropic's messages: JSON in, a hub::ChatRequest out.
//
// What this hub can't do is refused (images, tools that the server would run); what has no meaning here
// is skipped (cache_control, metadata, service_tier).  As in the API, a model thinks only where
// `thinking` asks for it.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "api/answer_writer.h"

namespace hearth::api::anthropic {

// Threading: any thread.
std::expected<ChatCall, ApiError> parse_call(std::string_view body);

// The body of /v1/messages/count_tokens: the same fields, without max_tokens.
std::expected<ChatCall, ApiError> parse_count(std::string_view body);

}  // namespace hearth::api::anthropic

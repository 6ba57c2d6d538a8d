// OpenAI's chats and plain completions, as the server needs them.
#pragma once

#include <expected>
#include <string_view>

#include "api/answer_writer.h"
#include "api/openai/request.h"

namespace hearth::api::openai {

// Threading: any thread.
std::expected<ChatCall, ApiError> parse_call(Endpoint endpoint, std::string_view body);

}  // namespace hearth::api::openai

// Ollama's chats and completions: JSON in, a hub::ChatRequest out.
//
// Both stream unless told not to.  A request without messages, or without a prompt, only loads its model.
// Images, templates and suffixes of a request are refused; what has no meaning here (keep_alive, num_ctx,
// mirostat, ...) is skipped.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

#include "api/answer_writer.h"

namespace hearth::api::ollama {

enum class Endpoint : std::uint8_t { kChat, kGenerate };

// Threading: any thread.
std::expected<ChatCall, ApiError> parse_call(Endpoint endpoint, std::string_view body);

}  // namespace hearth::api::ollama

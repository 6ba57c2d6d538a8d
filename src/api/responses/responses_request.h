// OpenAI's responses: JSON in, a hub::ChatRequest out.
//
// A conversation is replayed whole, as clients with `store: false` do: what would have to be remembered
// from call to call (previous_response_id, conversation, background) is refused.  Tools of
// type "function" and "custom" (free text) can be called; tools that OpenAI would run are skipped, since
// clients offer them always.
#pragma once

#include <expected>
#include <string_view>

#include "api/answer_writer.h"

namespace hearth::api::responses {

// Threading: any thread.
std::expected<ChatCall, ApiError> parse_call(std::string_view body);

}  // namespace hearth::api::responses

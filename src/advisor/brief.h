// The brief: the least that an adviser needs to see of a conversation, as the body of an
// OpenAI-compatible chat request.
//
// It holds a fixed instruction, the user's last question, as much of the turns before it
// as fits (newest first), and the local draft.  The question comes first when room is
// short; what is cut is marked.
#pragma once

#include <string>
#include <string_view>

#include "advisor/adviser.h"

namespace hearth::advisor {

// The user's message of the brief, at most `bytes_max` bytes plus its fixed headings.
std::string brief_text(const AdviceRequest& request, std::uint64_t bytes_max);

// The whole request's body: streaming, with usage asked for.
std::string brief_body(const AdviceRequest& request, const AdviserOptions& options,
                       std::string_view max_tokens_key);

}  // namespace hearth::advisor

// The brief: the least that an adviser needs to see of a conversation.
//
// It holds a fixed instruction, the user's last question, as much of the turns before it
// as fits (newest first), and the local draft.  The question comes first when room is
// short; what is cut is marked.
#pragma once

#include <string>

#include "advisor/adviser.h"
#include "advisor/wire/request.h"

namespace hearth::advisor {

// The user's message of the brief, at most `bytes_max` bytes plus its fixed headings.
std::string brief_text(const AdviceRequest& request, std::uint64_t bytes_max);

// The whole request, before it has a provider's form.
WireRequest brief_request(const AdviceRequest& request, const AdviserOptions& options);

}  // namespace hearth::advisor

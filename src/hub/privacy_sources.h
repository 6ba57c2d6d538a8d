// What a conversation was made of, as the privacy policy sees it (privacy/policy.h).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "hub/chat.h"
#include "privacy/policy.h"

namespace hearth::hub {

// A header of HTTP as rules see it: "name: value", the name in lower case.
std::string header_text(std::string_view name, std::string_view value);

// One source for each message.  A tool's result knows the tool that was called and the paths that stand
// in the call's arguments: what the tool read or wrote.
privacy::Sources sources_of(std::span<const Message> messages);
// All of a request's, with the headers that it came with; a plain prompt is its user's.
privacy::Sources sources_of(const ChatRequest& request);

}  // namespace hearth::hub

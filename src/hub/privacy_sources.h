// What a conversation was made of, as the privacy policy sees it (privacy/policy.h).
#pragma once

#include <span>

#include "hub/chat.h"
#include "privacy/policy.h"

namespace hearth::hub {

// One source for each message.  A tool's result knows the tool that was called and the paths that stand
// in the call's arguments: what the tool read or wrote.
privacy::Sources sources_of(std::span<const Message> messages);

}  // namespace hearth::hub

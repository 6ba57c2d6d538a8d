// Ids of tool calls.
#pragma once

#include <string>

namespace hearth::hub {

// "call_" and 24 letters and digits at random: a client keeps ids of several answers in one
// conversation, so they must not repeat.
std::string make_call_id();

}  // namespace hearth::hub

// What a conversation and a draft show, without a model's help, of whether advice is due.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/chat.h"

namespace hearth::hub {

// Whether an answer declines or says that it does not know, by how it begins.
bool is_refusal(std::string_view answer);

// How many of the latest tool results, in a row, report a failure.
std::uint32_t n_tool_errors(std::span<const Message> messages);

// Whether tools were used since the user's last turn.
bool has_used_tools(std::span<const Message> messages);

// The first of the called tools that a pattern names; empty if none does.
std::string find_risky(std::span<const std::string> called, std::span<const std::string> patterns);

}  // namespace hearth::hub

// The part of a chat request that is about tools and thinking: tools, tool_choice,
// parallel_tool_calls, reasoning_effort, chat_template_kwargs, and the calls of replayed messages.
#pragma once

#include <cstddef>
#include <string_view>

#include "api/chat_fields.h"
#include "hub/chat.h"

namespace hearth::api::openai {

inline constexpr std::size_t kTemplateArgumentsBytesMax = 65'536;

Parsed<> set_tools(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_tool_choice(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_reasoning_effort(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_template_arguments(hub::ChatRequest& request, std::string_view param, dom::element value);

// The calls of an assistant's message at `path`.
Parsed<> set_tool_calls(hub::Message& out, std::string_view path, dom::object message);

}  // namespace hearth::api::openai

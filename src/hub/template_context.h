// The variables that a chat template sees, made from a request.
//
// They are those of transformers' apply_chat_template: `messages`, `tools`,
// `add_generation_prompt`, `bos_token`, `eos_token`, and what the request sets besides
// (reasoning_effort, chat_template_kwargs).  All text of the client's is fenced (prompt.h), names,
// descriptions and keys of tools included.
//
// A template that can't lay out tools, calls or results is given them in words: tools and how
// to call them as part of the system text, calls as text in the model's own notation, results as a
// user's message.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "base/result.h"
#include "hub/chat.h"

namespace hearth::hub {

struct ReadyModel;

// The tools that the model is shown: none if the request forbids calls, one if it names one.
std::vector<Tool> shown_tools(const ReadyModel& ready, const ChatRequest& request);

// `messages` in place of the request's own.  kInvalidArgument for chat_template_kwargs that are no JSON
// object.
Result<nlohmann::ordered_json> template_context(const ReadyModel& ready, const ChatRequest& request,
                                                const std::vector<Message>& messages);

}  // namespace hearth::hub

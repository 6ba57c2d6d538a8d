// Anthropic's answers: a message as a whole, or as a stream of events; errors in its shape.
//
// Thinking is a block of its own, whose signature says only that nobody signed it.  The prompt's tokens are
// known at the end, in message_delta: message_start has none.  The receipt rides along as the
// member `hearth` of the message or of message_delta.
#pragma once

#include <memory>
#include <string>

#include "api/answer_writer.h"

namespace hearth::api::anthropic {

// `shows_advice`: the client offered Anthropic's advisor tool, and gets its two blocks where advice came.
std::unique_ptr<AnswerWriter> make_messages_writer(const AnswerMark& mark, std::string model, bool shows_advice = false);

// {"type":"error","error":{"type","message"}}
std::string render_error(const ApiError& error);

// {"input_tokens":N}
std::unique_ptr<AnswerWriter> make_count_writer();

}  // namespace hearth::api::anthropic

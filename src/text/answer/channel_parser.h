// gpt-oss writes an answer as several messages: <|start|>assistant<|channel|>analysis<|message|>
// ...<|end|>, and so on.  A header says what the message is: its channel, and to whom it goes.
//
//   analysis                           thinking
//   commentary to=functions.NAME       a call; the body is the arguments
//   commentary, final                  text for the user
//
// The prompt ends behind the first "<|start|>assistant".
#pragma once

#include <memory>

#include "text/answer/answer_parser.h"

namespace hearth::text {

std::unique_ptr<AnswerParser> make_channel_parser(AnswerParserOptions options);

}  // namespace hearth::text

// Answers that must be a call: tool_choice "required", or a function by name.
//
// A grammar leaves the model nothing but {"name": ..., "arguments": {...}} of one of the tools,
// whatever notation its family has: the arguments follow the function's schema, and the answer
// ends with the object.  Where the family's own notation is such an object between marks, the
// opening mark is put into the prompt, so that the model is where it was trained to be.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "hub/chat.h"
#include "text/answer/answer_format.h"

namespace hearth::hub {

bool must_call(const ChatRequest& request);

// A schema that can't be enforced leaves the arguments any object.  kInvalidArgument for no tools.
Result<text::grammar::GrammarPtr> forced_call_grammar(const std::vector<Tool>& tools,
                                                      const text::CallFormat& calls);

// What follows the rendered prompt `text` in front of the call: the end of a thinking block that it
// opened, and marks.
std::string forced_call_opening(const text::AnswerFormat& format, std::string_view text);

// How the forced answer is read.
text::AnswerFormat forced_call_format();

}  // namespace hearth::hub

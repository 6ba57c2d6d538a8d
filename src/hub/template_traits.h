// What a model's chat template can lay out, found by asking it.
//
// Templates differ in whether they know tools, calls and results at all, whether they want
// arguments as an object or as text, what ids they accept, and whether a turn that is only a call
// has an empty content or none.  Nothing says so but the template itself: each question is put by
// rendering a small conversation and looking for what was put into it.
#pragma once

#include <string>

#include "text/chat_template.h"

namespace hearth::hub {

struct TemplateTraits {
  bool takes_tools = false;
  bool takes_calls = false;    // An assistant's tool_calls are laid out.
  bool takes_results = false;  // So are messages of role "tool".
  bool wants_text_arguments = false;
  bool wants_short_ids = false;    // Exactly kShortIdLength letters and digits (Mistral).
  bool wants_no_content = false;   // null, not "", beside tool_calls (DeepSeek R1).
};

inline constexpr std::size_t kShortIdLength = 9;

TemplateTraits probe_template(const text::ChatTemplate& chat_template);

}  // namespace hearth::hub

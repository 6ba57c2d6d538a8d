// A text to compare models by where none is given: prose, dialogue, code, figures and lists, as
// requests hold them.
#pragma once

#include <string_view>

namespace hearth::cli {

extern const std::string_view kSampleText;

}  // namespace hearth::cli

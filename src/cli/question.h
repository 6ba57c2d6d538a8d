// The question of `ask` and `compare`.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

// The words of the command line, or standard input to its end.  kInvalidArgument if there is nothing, or
// too much.
Result<std::string> read_question(const std::vector<std::string>& words);

}  // namespace hearth::cli

// What is asked: the question of `ask` and `compare`, or a file of many.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

// The words of the command line, or standard input to its end.  kInvalidArgument if there is nothing, or
// too much.
Result<std::string> read_question(const std::vector<std::string>& words);

// One question per line of a file, at most `n_max`; lines of spaces are skipped.  kNotFound, or
// kInvalidArgument if there is none, or too many.
Result<std::vector<std::string>> read_questions(const std::string& path, std::size_t n_max);

}  // namespace hearth::cli

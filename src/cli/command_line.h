// From argv to a call: the verbs, their options and their help, in one table-like file.
#pragma once

#include <functional>

#include "base/result.h"

namespace hearth::cli {

struct Invocation {
  std::function<Result<>()> run;  // Empty where parsing has already said all: help, version, misuse.
  int exit_code = 0;              // In that case.
};

Invocation parse_command_line(int argc, const char* const* argv);

// Exit codes, as `hearth --help` documents them.
int exit_code_of(Code code);

}  // namespace hearth::cli

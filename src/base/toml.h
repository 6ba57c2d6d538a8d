// TOML: toml++, whose parser and formatter are compiled in toml.cpp alone, and the one way to read a text with it.
//
// toml++ 3.3 knows white space beyond ASCII by a table that lacks letters, and does what it likes with those.  So it
// is given ASCII alone: every other byte goes through it as an escape of ours and comes back in each text and key.
#pragma once

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 0
#include <toml++/toml.h>

#include <string_view>

#include "base/result.h"

namespace hearth {

// The table that a whole text is; its nodes know their lines.  kInvalidArgument: "line 3: " and what is wrong there.
Result<toml::table> parse_toml(std::string_view text);

}  // namespace hearth

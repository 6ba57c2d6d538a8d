// The values of JSON Schema's `format` that can be written as a pattern.
#pragma once

#include <string>
#include <string_view>

namespace hearth::text::grammar {

// A regular expression for the whole string; empty for a format that is not known.
std::string_view pattern_of_format(std::string_view format);

// "date, date-time, ...", for messages.
std::string known_formats();

}  // namespace hearth::text::grammar

// GBNF, the grammar notation of llama.cpp.
//
//     root ::= "yes" | "no" (" " reason)?      # an alternative, a group, an option
//     reason ::= [a-zA-Z ]{1,40} .             # a class with bounds, any character
//
// Literals and classes know \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH; a class may begin with ^;
// repetitions are * + ? {m} {m,} {m,n}; comments run from # to the end of the line.  A rule ends
// with its line, but goes on inside of a group, behind `|` and behind `::=`, and where the next
// line begins with `|`.
//
// Refused: tokens in angle brackets, and left recursion (by compile()).
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/grammar/rules.h"

namespace hearth::text::grammar {

// The rules of `text`; the root is the one named "root".  kInvalidArgument names the line.
Result<Rules> parse_gbnf(std::string_view text);

}  // namespace hearth::text::grammar

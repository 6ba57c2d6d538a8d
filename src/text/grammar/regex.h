// Regular expressions as grammars.
//
// Understood: literals, `.` (no line break), classes with ranges and negation, \d \w \s and their
// negations, \t \n \r \f \v \0 \xHH \uHHHH \u{H...} \cX, groups (capturing or not, their names
// have no effect), alternation, the quantifiers * + ? {m} {m,} {m,n}, also with a trailing `?`
// (which changes what a search prefers, not what matches), and the anchors ^ and $ at the ends of a
// whole alternative.  \d and \w are ASCII, as in ECMAScript.
//
// Refused by name: look-around, back references, \b, flags, possessive quantifiers, \p.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "text/grammar/rules.h"

namespace hearth::text::grammar {

struct RegexUse {
  bool is_search =
      false;  // Without ^ or $ anything may stand before or behind, as JSON Schema has it.
  bool in_json_string = false;  // Characters are spelled as JSON escapes them.
  // Code points of a whole match.  Enforced for one alternative with ^ and $ that is made of single
  // characters and classes, of which one at most is repeated a variable number of times:
  // ^[a-z][a-z0-9-]*$.  Others are refused.
  std::uint32_t length_min = 0;
  std::uint32_t length_max = kUnbounded;
};

// kInvalidArgument names the place (in code points) and what is wrong.
Result<NodeId> add_regex(Rules& rules, std::string_view pattern, RegexUse use = {});

}  // namespace hearth::text::grammar

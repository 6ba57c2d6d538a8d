// Numbers in JSON, within bounds: digit by digit, so that no number outside can be written.
//
// A number is cut where its digits part from those of a bound: 27 to 183 is 27..29, 30..99,
// 100..179, 180..183, each a run of digit classes.  Numbers with bounds have no exponent, and so
// few digits behind the point that no reader rounds one across a bound.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "text/grammar/rules.h"

namespace hearth::text::grammar {

struct Bound {
  long double value = 0;  // Wide enough for any 64-bit integer.
  bool is_exclusive = false;
};
struct Bounds {
  std::optional<Bound> low, high;
};

// Any number that a schema leaves open: at most kOpenDigitsMax digits on either side of the point
// and a short exponent.
NodeId json_number(Rules& rules);

// kInvalidArgument if nothing lies within, or all that does is too long to be read exactly.
Result<NodeId> json_integer(Rules& rules, const Bounds& bounds);
Result<NodeId> json_number(Rules& rules, const Bounds& bounds);

inline constexpr std::uint64_t kMultipleMax = 10'000;
inline constexpr std::uint64_t kMultipleRulesMax = 2'000;

// Whole numbers that `multiple`, of 1 to kMultipleMax, divides: a rule for each count of digits to
// come and each remainder, so that no digit is written that no multiple follows.  kInvalidArgument
// also for more than kMultipleRulesMax of them.
Result<NodeId> json_multiple(Rules& rules, const Bounds& bounds, std::uint64_t multiple);

}  // namespace hearth::text::grammar

// What must hold of an automaton before it may guide a model: no rule begins with itself,
// and everything can come to an end.
#pragma once

#include <string>
#include <vector>

#include "text/grammar/automaton.h"

namespace hearth::text::grammar {

// A rule, or the body of a loop, with its own states.
struct Unit {
  std::string name;  // Of the rule.
  NodeId body{};
  bool is_nullable = false;
  StateId start = 0;
};

// kInvalidArgument names a rule that can reach itself before it has read anything.
Result<> refuse_left_recursion(const Automaton& automaton, const std::vector<Unit>& units);

// Removes edges that no finite text can follow, and marks states that are last.  kInvalidArgument
// if nothing of the first unit remains.
Result<> cut_what_never_ends(Automaton& automaton, const std::vector<Unit>& units);

void find_byte_classes(Automaton& automaton);

}  // namespace hearth::text::grammar

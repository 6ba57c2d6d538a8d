// One rule's body as a nondeterministic automaton, and from there a deterministic one.
//
// Thompson's construction, then subsets.  A call of another rule is a letter of its own,
// so each rule stays apart and the calls keep their nesting.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "text/grammar/automaton.h"

namespace hearth::text::grammar {

struct NfaEdge {
  enum class Kind : std::uint8_t { kNothing, kBytes, kCall };
  std::uint32_t from;
  std::uint32_t to;
  Callee callee;
  Kind kind;
  std::uint8_t first, last;
};

// State 0 is the start, state 1 the end.
class Nfa {
 public:
  std::uint32_t add_state() { return n_states_++; }
  void add_nothing(std::uint32_t from, std::uint32_t to);
  void add_bytes(std::uint32_t from, std::uint32_t to, ByteRange range);
  void add_call(std::uint32_t from, std::uint32_t to, Callee callee);
  // One code point of `set`, in UTF-8.
  void add_chars(std::uint32_t from, std::uint32_t to, const CodePoints& set);

  // Sorts the edges; none may be added afterwards.
  void finish();
  std::span<const NfaEdge> edges_of(std::uint32_t state) const;
  std::uint32_t n_states() const { return n_states_; }

 private:
  std::uint32_t n_states_ = 2;
  std::vector<NfaEdge> edges_;
  std::vector<std::uint32_t> begins_;
};

// Appends the deterministic automaton to `out` and returns its start state; calls keep their
// callee. kInvalidArgument beyond kStatesMax.
Result<StateId> append_determinised(const Nfa& nfa, Automaton& out);

}  // namespace hearth::text::grammar

// A grammar as a pushdown automaton over bytes.
//
// Each rule is a deterministic automaton of its own, whose edges read a byte range or
// call another rule and go on where that ends.  A repetition with large bounds is a call
// of a counted loop, so that a string of up to 10,000 characters costs one counter
// instead of 10,000 states.  What can never come to an end is cut away, so every state
// that is left can reach the end of the text: a mask never leads into a dead end.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/grammar/rules.h"

namespace hearth::text::grammar {

inline constexpr std::size_t kStatesMax = 100'000;        // Of all rules, deterministic.
inline constexpr std::size_t kRuleNfaStatesMax = 50'000;  // Of one rule, before that.
// Steps of making one rule deterministic: about half a second's work.
inline constexpr std::uint64_t kDeterminiseStepsMax = 20'000'000;
inline constexpr std::uint32_t kRepetitionMax = 1'000'000;
// Repetitions of at most so many states are written out; larger ones count.
inline constexpr std::size_t kInlineStatesMax = 24;

using StateId = std::uint32_t;

struct ByteEdge {
  std::uint8_t first;
  std::uint8_t last;
  StateId target;
};

// A rule's start state, or a loop's index with kLoopBit.
using Callee = std::uint32_t;
inline constexpr Callee kLoopBit = 0x8000'0000;

struct CallEdge {
  Callee callee;
  StateId target;  // Where to go on.
};

struct State {
  std::uint32_t byte_begin, byte_end;  // In byte_edges, ascending by byte.
  std::uint32_t call_begin, call_end;  // In call_edges.
  bool is_final;
  bool is_last;  // Final and nothing follows: a call that returns here need not return.
};

struct Loop {
  StateId body;  // Start state of the rule that is repeated; never matches the empty text.
  std::uint32_t min;
  std::uint32_t max;  // Or kUnbounded.
};

// Threading: immutable once made.
struct Automaton {
  std::vector<State> states;
  std::vector<ByteEdge> byte_edges;
  std::vector<CallEdge> call_edges;
  std::vector<Loop> loops;
  StateId start = 0;
  std::array<std::uint8_t, 256> byte_class{};  // Bytes that no edge tells apart share one.
  std::uint32_t n_classes = 1;

  std::span<const ByteEdge> bytes_of(StateId id) const {
    const State& state = states[id];
    return std::span(byte_edges).subspan(state.byte_begin, state.byte_end - state.byte_begin);
  }
  std::span<const CallEdge> calls_of(StateId id) const {
    const State& state = states[id];
    return std::span(call_edges).subspan(state.call_begin, state.call_end - state.call_begin);
  }
};

// kInvalidArgument: a rule is not defined, is left-recursive, or the root can match no finite text;
// or a limit above (or of rules.h) is exceeded, by name.
Result<Automaton> compile(Rules rules);

}  // namespace hearth::text::grammar

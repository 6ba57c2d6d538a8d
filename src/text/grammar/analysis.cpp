#include "text/grammar/analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <map>

namespace hearth::text::grammar {
namespace {

// ---- Left recursion ----

class FirstCalls {
 public:
  FirstCalls(const Automaton& automaton, const std::vector<Unit>& units)
      : automaton_(automaton), units_(units) {
    for (std::size_t i = 0; i < units.size(); ++i) unit_at_.emplace(units[i].start, i);
  }

  // The units that `unit` can call before it has read anything.
  std::vector<std::size_t> of(std::size_t unit) const {
    std::vector<std::size_t> called;
    std::vector<StateId> states = {units_[unit].start};
    for (std::size_t i = 0; i < states.size(); ++i) {
      for (const CallEdge& edge : automaton_.calls_of(states[i])) {
        const bool is_loop = (edge.callee & kLoopBit) != 0;
        const Loop* const loop = is_loop ? &automaton_.loops[edge.callee & ~kLoopBit] : nullptr;
        const std::size_t callee = unit_at_.at(is_loop ? loop->body : edge.callee);
        called.push_back(callee);
        const bool may_be_empty = is_loop ? loop->min == 0 : units_[callee].is_nullable;
        if (may_be_empty && std::ranges::find(states, edge.target) == states.end()) {
          states.push_back(edge.target);
        }
      }
    }
    return called;
  }

 private:
  const Automaton& automaton_;
  const std::vector<Unit>& units_;
  std::map<StateId, std::size_t> unit_at_;
};

// ---- What can come to an end ----

struct Productive {
  std::vector<bool> states;
  std::vector<bool> loops;
};

bool can_call(const Productive& found, Callee callee) {
  return (callee & kLoopBit) != 0 ? found.loops[callee & ~kLoopBit] : found.states[callee];
}

bool is_productive_now(const Automaton& automaton, const Productive& found, StateId id) {
  if (automaton.states[id].is_final) return true;
  for (const ByteEdge& edge : automaton.bytes_of(id)) {
    if (found.states[edge.target]) return true;
  }
  return std::ranges::any_of(automaton.calls_of(id), [&](const CallEdge& edge) {
    return found.states[edge.target] && can_call(found, edge.callee);
  });
}

// Both ways in turn: back to front settles most of a rule at once, since its states are numbered
// from its start on; front to back settles chains of rules.
Productive find_productive(const Automaton& automaton) {
  Productive found{std::vector<bool>(automaton.states.size()),
                   std::vector<bool>(automaton.loops.size())};
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < automaton.loops.size(); ++i) {
      const Loop& loop = automaton.loops[i];
      if (found.loops[i] || (loop.min > 0 && !found.states[loop.body])) continue;
      found.loops[i] = changed = true;
    }
    const auto visit = [&](std::size_t i) {
      if (found.states[i] || !is_productive_now(automaton, found, static_cast<StateId>(i))) return;
      found.states[i] = changed = true;
    };
    for (std::size_t i = automaton.states.size(); i-- > 0;) visit(i);
    for (std::size_t i = 0; i < automaton.states.size(); ++i) visit(i);
  }
  return found;
}

}  // namespace

Result<> refuse_left_recursion(const Automaton& automaton, const std::vector<Unit>& units) {
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };
  struct Visit {
    std::size_t unit;
    std::vector<std::size_t> calls;
    std::size_t next = 0;
  };
  const FirstCalls first_calls(automaton, units);
  std::vector<Mark> marks(units.size(), Mark::kNew);
  std::vector<Visit> path;
  const auto open = [&](std::size_t unit) {
    marks[unit] = Mark::kOpen;
    path.push_back({unit, first_calls.of(unit)});
  };
  for (std::size_t root = 0; root < units.size(); ++root) {
    if (marks[root] == Mark::kNew) open(root);
    while (!path.empty()) {
      Visit& top = path.back();
      if (top.next == top.calls.size()) {
        marks[top.unit] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const std::size_t called = top.calls[top.next++];
      if (marks[called] == Mark::kOpen) {
        return fail(
            Code::kInvalidArgument,
            fmt::format("'{}' begins with itself, before it has read anything: put something "
                        "in front of the recursion, or use a repetition",
                        units[called].name));
      }
      if (marks[called] == Mark::kNew) open(called);
    }
  }
  return {};
}

Result<> cut_what_never_ends(Automaton& automaton, const std::vector<Unit>& units) {
  const Productive found = find_productive(automaton);
  if (!found.states[automaton.start]) {
    return fail(Code::kInvalidArgument,
                fmt::format("no finite text satisfies '{}': what it asks for contradicts itself or "
                            "contains itself without end",
                            units[0].name));
  }
  for (std::size_t i = 0; i < automaton.loops.size(); ++i) {
    Loop& loop = automaton.loops[i];
    if (!found.states[loop.body]) loop.max = 0;
  }
  std::vector<ByteEdge> byte_edges;
  std::vector<CallEdge> call_edges;
  for (StateId id = 0; id < automaton.states.size(); ++id) {
    State state = automaton.states[id];
    state.byte_begin = static_cast<std::uint32_t>(byte_edges.size());
    for (const ByteEdge& edge : automaton.bytes_of(id)) {
      if (found.states[edge.target]) byte_edges.push_back(edge);
    }
    state.byte_end = static_cast<std::uint32_t>(byte_edges.size());
    state.call_begin = static_cast<std::uint32_t>(call_edges.size());
    for (const CallEdge& edge : automaton.calls_of(id)) {
      if (found.states[edge.target] && can_call(found, edge.callee)) call_edges.push_back(edge);
    }
    state.call_end = static_cast<std::uint32_t>(call_edges.size());
    state.is_last =
        state.is_final && state.byte_begin == state.byte_end && state.call_begin == state.call_end;
    automaton.states[id] = state;  // Its old ranges were read above.
  }
  automaton.byte_edges = std::move(byte_edges);
  automaton.call_edges = std::move(call_edges);
  return {};
}

void find_byte_classes(Automaton& automaton) {
  std::bitset<257> begins;
  begins.set(0);
  for (const ByteEdge& edge : automaton.byte_edges) {
    begins.set(edge.first);
    begins.set(edge.last + 1U);
  }
  std::uint32_t n_classes = 0;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (begins.test(byte)) ++n_classes;
    automaton.byte_class[byte] = static_cast<std::uint8_t>(n_classes - 1);
  }
  automaton.n_classes = n_classes;
}

}  // namespace hearth::text::grammar

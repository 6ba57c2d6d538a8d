#include "text/grammar/nfa.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hearth::text::grammar {
namespace {

constexpr std::uint32_t kEnd = 1;

using Subset = std::vector<std::uint32_t>;  // Ascending.

// Turns subsets of the NFA's states into states, each once.
class Determiniser {
 public:
  Determiniser(const Nfa& nfa, Automaton& out)
      : nfa_(nfa),
        out_(out),
        seen_(nfa.n_states(), 0),
        first_(static_cast<StateId>(out.states.size())) {}

  Result<StateId> run() {
    const StateId start = state_of({0});
    for (std::size_t i = 0; i < subsets_.size(); ++i) {
      if (out_.states.size() > kStatesMax || n_steps_ > kDeterminiseStepsMax) {
        return fail(
            Code::kInvalidArgument,
            fmt::format("the grammar takes more than {} states, or more than {} steps to make: "
                        "make it simpler, or bound its repetitions and choices",
                        kStatesMax, kDeterminiseStepsMax));
      }
      expand(static_cast<StateId>(i));
    }
    return start;
  }

 private:
  void close(Subset& subset) {
    ++epoch_;
    for (const std::uint32_t s : subset) seen_[s] = epoch_;
    for (std::size_t i = 0; i < subset.size(); ++i) {
      for (const NfaEdge& edge : nfa_.edges_of(subset[i])) {
        if (edge.kind != NfaEdge::Kind::kNothing || seen_[edge.to] == epoch_) continue;
        seen_[edge.to] = epoch_;
        subset.push_back(edge.to);
      }
    }
    std::ranges::sort(subset);
    n_steps_ += 8 * subset.size();  // It is kept and compared as well.
  }

  StateId state_of(Subset subset) {
    std::ranges::sort(subset);
    subset.erase(std::unique(subset.begin(), subset.end()), subset.end());
    close(subset);
    const auto [entry, is_new] =
        ids_.try_emplace(std::move(subset), first_ + static_cast<StateId>(subsets_.size()));
    if (is_new) {
      subsets_.push_back(&entry->first);
      const bool is_final = std::ranges::binary_search(entry->first, kEnd);
      out_.states.push_back({.is_final = is_final});
    }
    return entry->second;
  }

  void expand(StateId local) {
    bytes_.clear();
    calls_.clear();
    for (const std::uint32_t s : *subsets_[local]) {
      for (const NfaEdge& edge : nfa_.edges_of(s)) {
        if (edge.kind == NfaEdge::Kind::kBytes) bytes_.push_back(&edge);
        if (edge.kind == NfaEdge::Kind::kCall) calls_[edge.callee].push_back(edge.to);
      }
    }
    std::vector<ByteEdge> byte_edges = byte_edges_of();
    std::vector<CallEdge> call_edges;
    for (auto& [callee, targets] : calls_) {
      call_edges.push_back({callee, state_of(std::move(targets))});
    }
    State& state = out_.states[first_ + local];
    state.byte_begin = static_cast<std::uint32_t>(out_.byte_edges.size());
    out_.byte_edges.insert(out_.byte_edges.end(), byte_edges.begin(), byte_edges.end());
    state.byte_end = static_cast<std::uint32_t>(out_.byte_edges.size());
    state.call_begin = static_cast<std::uint32_t>(out_.call_edges.size());
    out_.call_edges.insert(out_.call_edges.end(), call_edges.begin(), call_edges.end());
    state.call_end = static_cast<std::uint32_t>(out_.call_edges.size());
  }

  // Cuts 0..255 where any edge begins or ends; each piece leads to one subset.
  std::vector<ByteEdge> byte_edges_of() {
    std::vector<unsigned> cuts;
    for (const NfaEdge* edge : bytes_) {
      cuts.push_back(edge->first);
      cuts.push_back(edge->last + 1U);
    }
    std::ranges::sort(cuts);
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    n_steps_ += cuts.size() * bytes_.size();
    std::vector<ByteEdge> edges;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      Subset targets;
      for (const NfaEdge* edge : bytes_) {
        if (edge->first <= cuts[i] && cuts[i] <= edge->last) targets.push_back(edge->to);
      }
      if (targets.empty()) continue;
      const StateId target = state_of(std::move(targets));
      const auto first = static_cast<std::uint8_t>(cuts[i]);
      const auto last = static_cast<std::uint8_t>(cuts[i + 1] - 1);
      const bool joins =
          !edges.empty() && edges.back().target == target && edges.back().last + 1 == first;
      if (joins)
        edges.back().last = last;
      else
        edges.push_back({first, last, target});
    }
    return edges;
  }

  const Nfa& nfa_;
  Automaton& out_;
  std::vector<std::uint32_t> seen_;  // By NFA state: the last closure that met it.
  std::uint32_t epoch_ = 0;
  StateId first_;
  std::map<Subset, StateId> ids_;
  std::vector<const Subset*> subsets_;  // By state, from first_; they live in ids_.
  std::uint64_t n_steps_ = 0;
  std::vector<const NfaEdge*> bytes_;
  std::map<Callee, Subset> calls_;
};

}  // namespace

void Nfa::add_nothing(std::uint32_t from, std::uint32_t to) {
  edges_.push_back({from, to, 0, NfaEdge::Kind::kNothing, 0, 0});
}

void Nfa::add_bytes(std::uint32_t from, std::uint32_t to, ByteRange range) {
  edges_.push_back({from, to, 0, NfaEdge::Kind::kBytes, range.first, range.last});
}

void Nfa::add_call(std::uint32_t from, std::uint32_t to, Callee callee) {
  edges_.push_back({from, to, callee, NfaEdge::Kind::kCall, 0, 0});
}

// Sequences are laid from their ends, so that those with equal tails share them.
void Nfa::add_chars(std::uint32_t from, std::uint32_t to, const CodePoints& set) {
  std::vector<ByteSequence> sequences;
  for (const CodePointRange& range : set.ranges()) append_utf8_sequences(range, sequences);
  std::map<std::tuple<std::uint8_t, std::uint8_t, std::uint32_t>, std::uint32_t> tails;
  for (const ByteSequence& sequence : sequences) {
    std::uint32_t next = to;
    for (std::size_t i = sequence.length; i-- > 1;) {
      const ByteRange& range = sequence.bytes[i];
      const auto [tail, is_new] = tails.try_emplace({range.first, range.last, next}, n_states_);
      if (is_new) add_bytes(add_state(), next, range);
      next = tail->second;
    }
    add_bytes(from, next, sequence.bytes[0]);
  }
}

void Nfa::finish() {
  std::ranges::stable_sort(edges_, {}, &NfaEdge::from);
  begins_.assign(n_states_ + 1, 0);
  for (const NfaEdge& edge : edges_) ++begins_[edge.from + 1];
  for (std::size_t i = 0; i < n_states_; ++i) begins_[i + 1] += begins_[i];
}

std::span<const NfaEdge> Nfa::edges_of(std::uint32_t state) const {
  return std::span(edges_).subspan(begins_[state], begins_[state + 1] - begins_[state]);
}

Result<StateId> append_determinised(const Nfa& nfa, Automaton& out) {
  return Determiniser(nfa, out).run();
}

}  // namespace hearth::text::grammar

#include "text/grammar/stacks.h"

#include <algorithm>
#include <utility>

#include "base/digest.h"

namespace hearth::text::grammar {

std::size_t Stacks::FrameHash::operator()(FrameId id) const {
  const Frame& frame = stacks->frames_[id];
  std::uint64_t hash = frame.state * std::uint64_t{0x9E37'79B9'7F4A'7C15};
  hash = (hash ^ (hash >> 29) ^ frame.count) * std::uint64_t{0xBF58'476D'1CE4'E5B9};
  hash = (hash ^ (hash >> 32) ^ frame.parent) * std::uint64_t{0x94D0'49BB'1331'11EB};
  return hash ^ (hash >> 31);
}

bool Stacks::FrameEqual::operator()(FrameId a, FrameId b) const {
  return stacks->frames_[a] == stacks->frames_[b];
}

std::size_t Stacks::SetHash::operator()(SetId id) const {
  return hash64(std::as_bytes(stacks->frames_of(id)));
}

bool Stacks::SetEqual::operator()(SetId a, SetId b) const {
  return std::ranges::equal(stacks->frames_of(a), stacks->frames_of(b));
}

Stacks::Stacks(const Automaton& automaton)
    : automaton_(automaton),
      n_classes_(automaton.n_classes),
      frames_(2),
      frame_index_(64, FrameHash{this}, FrameEqual{this}),
      set_index_(64, SetHash{this}, SetEqual{this}),
      seen_at_(2) {
  // The dead set and the overflow lead nowhere, whatever comes.
  sets_.resize(2);
  next_.assign(n_classes_, kDeadSet);
  next_.resize(2 * n_classes_, kOverflowSet);
  set_index_.insert(kDeadSet);
  ++epoch_;
  visit(intern({automaton.start, 0, kEndFrame}));
  start_ = intern_set();
}

bool Stacks::has(SetId set, FrameId frame) const {
  return std::ranges::binary_search(frames_of(set), frame);
}

// Appended first and looked up then: the index knows frames by their ids only.
FrameId Stacks::intern(Frame frame) {
  const auto id = static_cast<FrameId>(frames_.size());
  frames_.push_back(frame);
  const auto [known, is_new] = frame_index_.insert(id);
  if (!is_new) {
    frames_.pop_back();
    return *known;
  }
  seen_at_.push_back(0);
  return id;
}

SetId Stacks::set_of(std::vector<FrameId> frames) {
  pending_ = std::move(frames);
  return intern_set();
}

SetId Stacks::compute(SetId set, std::uint8_t byte) {
  pending_.clear();
  ++epoch_;
  for (std::uint32_t i = 0; i < sets_[set].n; ++i) {
    const FrameId id = members_[sets_[set].begin + i];
    if (id == kEndFrame || id == kContextFrame) continue;
    const Frame frame = frames_[id];
    for (const ByteEdge& edge : automaton_.bytes_of(frame.state)) {
      if (byte < edge.first) break;
      if (byte > edge.last) continue;
      const bool is_done = automaton_.states[edge.target].is_last;
      visit(is_done ? frame.parent : intern({edge.target, 0, frame.parent}));
      break;
    }
  }
  const SetId next = intern_set();
  next_[set * n_classes_ + automaton_.byte_class[byte]] = next;
  return next;
}

void Stacks::visit(FrameId frame) {
  queue_.assign(1, frame);
  while (!queue_.empty()) {
    const FrameId top = queue_.back();
    queue_.pop_back();
    if (std::exchange(seen_at_[top], epoch_) == epoch_) continue;
    ++n_visited_;
    if (pending_.size() > kStacksMax) return;
    enter(top);
  }
}

void Stacks::enter(FrameId id) {
  if (id == kEndFrame || id == kContextFrame) return pending_.push_back(id);
  const Frame frame = frames_[id];
  if ((frame.state & kLoopBit) != 0) return enter_loop(frame);
  const State& state = automaton_.states[frame.state];
  if (state.byte_begin != state.byte_end) pending_.push_back(id);
  if (state.is_final) queue_.push_back(frame.parent);
  for (const CallEdge& edge : automaton_.calls_of(frame.state)) {
    call(edge.callee, edge.target, frame.parent);
  }
}

void Stacks::call(Callee callee, StateId target, FrameId parent) {
  // Where nothing follows the call, its end is its caller's end: recursion at the end of a rule
  // takes no stack.
  if (!automaton_.states[target].is_last) parent = intern({target, 0, parent});
  queue_.push_back(intern({callee, 0, parent}));
}

void Stacks::enter_loop(const Frame& frame) {
  const Loop& loop = automaton_.loops[frame.state & ~kLoopBit];
  if (frame.count >= loop.min) queue_.push_back(frame.parent);
  if (frame.count >= loop.max) return;
  // Beyond the least number of rounds an unbounded loop need not count.
  const bool counts = loop.max != kUnbounded || frame.count < loop.min;
  const std::uint32_t count = counts ? frame.count + 1 : frame.count;
  const bool is_last_round = count == loop.max;
  const FrameId parent = is_last_round ? frame.parent : intern({frame.state, count, frame.parent});
  queue_.push_back(intern({loop.body, 0, parent}));
}

SetId Stacks::intern_set() {
  if (pending_.size() > kStacksMax) return kOverflowSet;
  std::ranges::sort(pending_);
  const auto id = static_cast<SetId>(sets_.size());
  sets_.push_back(
      {static_cast<std::uint32_t>(members_.size()), static_cast<std::uint32_t>(pending_.size())});
  members_.insert(members_.end(), pending_.begin(), pending_.end());
  const auto [known, is_new] = set_index_.insert(id);
  if (!is_new) {
    members_.resize(sets_.back().begin);
    sets_.pop_back();
    return *known;
  }
  next_.resize(sets_.size() * n_classes_, kUnknown);
  return id;
}

SetId Stacks::adopt(const Stacks& other, SetId set) {
  if (set == kDeadSet || set == kOverflowSet) return set;
  std::vector<FrameId> tops;
  for (FrameId id : other.frames_of(set)) {
    std::vector<Frame> chain;
    for (; id > kContextFrame; id = other.frames_[id].parent) chain.push_back(other.frames_[id]);
    FrameId top = id;
    for (std::size_t i = chain.size(); i-- > 0;) {
      top = intern({chain[i].state, chain[i].count, top});
    }
    tops.push_back(top);
  }
  return set_of(std::move(tops));
}

std::size_t Stacks::bytes_used() const {
  constexpr std::size_t kIndexBytes = 24;  // A node of a hash set and its bucket.
  return frames_.size() * (sizeof(Frame) + sizeof(std::uint32_t) + kIndexBytes) +
         members_.size() * sizeof(FrameId) +
         sets_.size() * (sizeof(Set) + n_classes_ * sizeof(SetId) + kIndexBytes);
}

}  // namespace hearth::text::grammar

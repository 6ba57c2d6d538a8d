// Where texts stand in a grammar: sets of stacks, and how a byte moves them.
//
// A stack is a chain of frames, each the state in one rule and its parent, the frame to
// return to.  Frames are interned: equal stacks are one number, and a thousand stacks that
// differ only on top share the rest.  A set of stacks is interned as well, and where a byte
// leads from a set is computed once and remembered.  So the whole is a deterministic
// automaton that is built as far as texts have gone, and a step is one look-up.
//
// Nothing here forgets: whoever holds it starts a new one when bytes_used() grows too large
// and carries its stacks over by `stack_of` and `set_of`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_set>
#include <vector>

#include "text/grammar/automaton.h"

namespace hearth::text::grammar {

// More stacks at once: the grammar is too ambiguous.
inline constexpr std::size_t kStacksMax = 1'024;

using FrameId = std::uint32_t;
using SetId = std::uint32_t;

// Frames below all others: the text may end, or goes on in a context that is not known.
inline constexpr FrameId kEndFrame = 0;
inline constexpr FrameId kContextFrame = 1;
// Sets: no stack is left; and too many, or too much work, which no text recovers from.
inline constexpr SetId kDeadSet = 0;
inline constexpr SetId kOverflowSet = 1;

struct Frame {
  std::uint32_t state;  // A state, or a loop's index with kLoopBit.
  std::uint32_t count;  // Of a loop: rounds begun.
  FrameId parent;
  bool operator==(const Frame&) const = default;
};

// Threading: externally synchronised.
class Stacks {
 public:
  explicit Stacks(const Automaton& automaton);
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  SetId start() const { return start_; }
  SetId step(SetId set, std::uint8_t byte) {
    const SetId known = next_[set * n_classes_ + automaton_.byte_class[byte]];
    return known != kUnknown ? known : compute(set, byte);
  }

  // Top frames, ascending: states that read a byte, kEndFrame, kContextFrame.
  std::span<const FrameId> frames_of(SetId set) const {
    return std::span(members_).subspan(sets_[set].begin, sets_[set].n);
  }
  bool has(SetId set, FrameId frame) const;
  const Frame& frame(FrameId id) const { return frames_[id]; }
  const Automaton& automaton() const { return automaton_; }

  // The set of exactly these frames: what a final one returns to, or what one calls, is left out.
  SetId set_of(std::vector<FrameId> frames);
  FrameId intern(Frame frame);

  // `set` of `other` in here.
  SetId adopt(const Stacks& other, SetId set);

  std::size_t bytes_used() const;
  // Frames visited so far: what computing steps has cost.
  std::uint64_t n_visited() const { return n_visited_; }

 private:
  static constexpr SetId kUnknown = 0xFFFF'FFFF;

  struct Set {
    std::uint32_t begin, n;  // In members_.
  };
  struct FrameHash {
    const Stacks* stacks;
    std::size_t operator()(FrameId id) const;
  };
  struct FrameEqual {
    const Stacks* stacks;
    bool operator()(FrameId a, FrameId b) const;
  };
  struct SetHash {
    const Stacks* stacks;
    std::size_t operator()(SetId id) const;
  };
  struct SetEqual {
    const Stacks* stacks;
    bool operator()(SetId a, SetId b) const;
  };

  SetId compute(SetId set, std::uint8_t byte);
  // Adds the frames that `frame` stands for: those that read a byte or end the text.
  void visit(FrameId frame);
  void enter(FrameId frame);
  void call(Callee callee, StateId target, FrameId parent);
  void enter_loop(const Frame& frame);
  SetId intern_set();  // Of pending_.

  const Automaton& automaton_;
  const std::size_t n_classes_;
  std::vector<Frame> frames_;
  std::vector<FrameId> members_;
  std::vector<Set> sets_;
  std::vector<SetId> next_;  // [set, byte class]
  std::unordered_set<FrameId, FrameHash, FrameEqual> frame_index_;
  std::unordered_set<SetId, SetHash, SetEqual> set_index_;
  SetId start_ = kDeadSet;
  std::uint64_t n_visited_ = 0;

  // Working memory of one computation.
  std::vector<FrameId> pending_;
  std::vector<FrameId> queue_;
  std::vector<std::uint32_t> seen_at_;  // By frame.
  std::uint32_t epoch_ = 0;
};

}  // namespace hearth::text::grammar

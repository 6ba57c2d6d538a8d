// The masks of one constraint, computed as answers need them.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/grammar/lexicon.h"
#include "text/grammar/stacks.h"

namespace hearth::text::grammar {

// Threading: externally synchronised.
class MaskCache {
 public:
  MaskCache(const Automaton& automaton, const Lexicon& lexicon);

  Stacks& stacks() { return stacks_; }
  const Stacks& stacks() const { return stacks_; }
  std::size_t bytes_used() const { return stacks_.bytes_used() + mask_bytes_; }

  // Sets the bits of the text tokens that may follow `set`; false if the grammar is too ambiguous
  // or the work exceeds n_visits_max.
  bool fill(SetId set, std::span<std::uint64_t> mask, std::uint64_t n_visits_max);

 private:
  // A run of tokens, in the lexicon's order.
  struct Run {
    std::uint32_t begin, end;
  };
  // What a top frame decides by itself.
  struct TopMask {
    std::vector<Run> accepted;                 // If they are few,
    std::vector<std::uint64_t> accepted_bits;  // else by id.
    std::vector<Run> undecided;                // Begin inside of the frame's rule and leave it.
    bool is_overflow = false;
  };

  const TopMask& top_mask(FrameId top);
  FrameId local_frame(FrameId top);
  std::uint32_t canonical_count(const Loop& loop, std::uint32_t count) const;
  TopMask compute(FrameId local);
  void pack(TopMask& mask);
  void add(const TopMask& top, std::span<std::uint64_t> mask) const;
  bool decide(SetId set, const TopMask& top, std::span<std::uint64_t> mask);
  void set_bits(Run run, std::span<std::uint64_t> mask) const;
  bool is_spent() const { return stacks_.n_visited() > visits_end_; }

  const Lexicon& lexicon_;
  Stacks stacks_;
  std::unordered_map<FrameId, TopMask> masks_;  // By local frame.
  std::unordered_map<SetId, std::vector<std::uint64_t>> whole_masks_;
  std::size_t mask_bytes_ = 0;
  std::uint64_t visits_end_ = 0;

  // Working memory of a walk, by depth.
  std::vector<SetId> path_;
  std::vector<bool> has_left_;
};

}  // namespace hearth::text::grammar

// The merges of a byte-level BPE, by the ids of what they join.
//
// One open-addressing table with 16 bytes a slot, at most half full: each step of a merge asks it
// once or twice, so a lookup should cost one cache line.
#pragma once

#include <cstdint>
#include <vector>

#include "text/bigram_merge.h"

namespace hearth::text {

// Threading: immutable once filled.
class MergeTable {
 public:
  // Room for `count` merges, of which no more may be added.
  explicit MergeTable(std::size_t count);

  // The first merge added for a pair stays.
  void add(std::int32_t left, std::int32_t right, Bigram bigram);

  // kNoRank where the two don't merge.
  Bigram find(std::int32_t left, std::int32_t right) const {
    for (std::size_t i = slot_of(left, right);; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.left == left && slot.right == right) return slot.bigram;
      if (slot.left < 0) return {kNoRank, -1};
    }
  }

 private:
  struct Slot {
    std::int32_t left;  // -1 where the slot is free.
    std::int32_t right;
    Bigram bigram;
  };

  std::size_t slot_of(std::int32_t left, std::int32_t right) const {
    const auto key =
        (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
    return ((key * 0x9E3779B97F4A7C15U) >> 32) & mask_;  // Fibonacci hashing (Knuth 6.4).
  }

  std::size_t mask_;
  std::vector<Slot> slots_;
};

}  // namespace hearth::text

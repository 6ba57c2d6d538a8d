// The merges of a byte-level BPE, by the ids of what they join.
//
// One open-addressing table with 16 bytes a slot, at most two thirds full, in one block that may be
// mapped from a file: each step of a merge asks it once or twice, so a lookup should cost one cache
// line.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "text/bigram_merge.h"

namespace hearth::text {

struct MergeSlot {
  std::int32_t left;  // -1 where the slot is free.
  std::int32_t right;
  Bigram bigram;
};

// Borrows the slots.
//
// Threading: immutable.
class MergeTable {
 public:
  MergeTable() = default;
  // A power of two of slots, of which at least one is free; or none.
  explicit MergeTable(std::span<const MergeSlot> slots)
      : mask_(slots.size() - 1), slots_(slots) {}

  // kNoRank where the two don't merge.
  Bigram find(std::int32_t left, std::int32_t right) const {
    if (slots_.empty()) return {kNoRank, -1};
    for (std::size_t i = slot_of(left, right, mask_);; i = (i + 1) & mask_) {
      const MergeSlot& slot = slots_[i];
      if (slot.left == left && slot.right == right) return slot.bigram;
      if (slot.left < 0) return {kNoRank, -1};
    }
  }

  static std::size_t slot_of(std::int32_t left, std::int32_t right, std::size_t mask) {
    const auto key =
        (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
    return ((key * 0x9E3779B97F4A7C15U) >> 32) & mask;  // Fibonacci hashing (Knuth 6.4).
  }

 private:
  std::size_t mask_ = 0;
  std::span<const MergeSlot> slots_;
};

// Fills the slots of a MergeTable.
class MergeTableBuilder {
 public:
  // Room for `count` merges, of which no more may be added.
  explicit MergeTableBuilder(std::size_t count);

  // The first merge added for a pair stays.
  void add(std::int32_t left, std::int32_t right, Bigram bigram);

  std::vector<MergeSlot> take() && { return std::move(slots_); }

 private:
  std::size_t mask_;
  std::vector<MergeSlot> slots_;
};

}  // namespace hearth::text

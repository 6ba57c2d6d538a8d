#include "text/merge_table.h"

#include <bit>

namespace hearth::text {

MergeTableBuilder::MergeTableBuilder(std::size_t count)
    : mask_(std::bit_ceil(count + count / 2 + 1) - 1),
      slots_(mask_ + 1, MergeSlot{-1, -1, {kNoRank, -1}}) {}

void MergeTableBuilder::add(std::int32_t left, std::int32_t right, Bigram bigram) {
  std::size_t i = MergeTable::slot_of(left, right, mask_);
  for (; slots_[i].left >= 0; i = (i + 1) & mask_) {
    if (slots_[i].left == left && slots_[i].right == right) return;
  }
  slots_[i] = {left, right, bigram};
}

}  // namespace hearth::text

#include "text/merge_table.h"

#include <bit>

namespace hearth::text {

MergeTable::MergeTable(std::size_t count)
    : mask_(std::bit_ceil(2 * count + 1) - 1), slots_(mask_ + 1, Slot{-1, -1, {kNoRank, -1}}) {}

void MergeTable::add(std::int32_t left, std::int32_t right, Bigram bigram) {
  std::size_t i = slot_of(left, right);
  for (; slots_[i].left >= 0; i = (i + 1) & mask_) {
    if (slots_[i].left == left && slots_[i].right == right) return;
  }
  slots_[i] = {left, right, bigram};
}

}  // namespace hearth::text

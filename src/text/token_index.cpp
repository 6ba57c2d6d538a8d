#include "text/token_index.h"

#include <bit>

#include "base/digest.h"

namespace hearth::text {
namespace {

std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

}  // namespace

std::vector<TokenIndex::Slot> TokenIndex::build(const TokenTexts& texts) {
  std::vector<Slot> slots(std::bit_ceil(texts.size() + texts.size() / 2 + 1), Slot{0, -1});
  const std::size_t mask = slots.size() - 1;
  for (std::size_t id = 0; id < texts.size(); ++id) {
    const std::uint64_t hash = hash64(texts[id]);
    const std::uint32_t tag = tag_of(hash);
    std::size_t i = hash & mask;
    while (slots[i].id >= 0 &&
           (slots[i].tag != tag || texts[static_cast<std::size_t>(slots[i].id)] != texts[id])) {
      i = (i + 1) & mask;
    }
    if (slots[i].id < 0) slots[i] = {tag, static_cast<std::int32_t>(id)};
  }
  return slots;
}

std::optional<std::int32_t> TokenIndex::find(std::string_view text) const {
  const std::uint64_t hash = hash64(text);
  const std::uint32_t tag = tag_of(hash);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t n = 0, i = hash & mask; n < slots_.size(); ++n, i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id < 0) return std::nullopt;
    const auto id = static_cast<std::size_t>(slot.id);
    if (slot.tag == tag && id < texts_.size() && texts_[id] == text) return slot.id;
  }
  return std::nullopt;
}

}  // namespace hearth::text

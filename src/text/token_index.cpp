#include "text/token_index.h"

#include <bit>

#include "base/digest.h"

namespace hearth::text {

TokenIndex::TokenIndex(const std::vector<std::string>& texts)
    : texts_(&texts), slots_(std::bit_ceil(2 * texts.size() + 1), Slot{0, -1}) {
  for (std::size_t id = 0; id < texts.size(); ++id) {
    const std::uint64_t hash = hash64(std::string_view(texts[id]));
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t i = hash & (slots_.size() - 1);
    while (slots_[i].id >= 0 &&
           (slots_[i].tag != tag || texts[static_cast<std::size_t>(slots_[i].id)] != texts[id])) {
      i = (i + 1) & (slots_.size() - 1);
    }
    if (slots_[i].id < 0) slots_[i] = {tag, static_cast<std::int32_t>(id)};
  }
}

std::optional<std::int32_t> TokenIndex::find(std::string_view text) const {
  if (slots_.empty()) return std::nullopt;
  const std::uint64_t hash = hash64(text);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  for (std::size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[i];
    if (slot.id < 0) return std::nullopt;
    if (slot.tag == tag && (*texts_)[static_cast<std::size_t>(slot.id)] == text) return slot.id;
  }
}

}  // namespace hearth::text

#include "text/special_tokens.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace hearth::text {

std::vector<std::int32_t> SpecialTokens::build(const TokenTexts& texts,
                                               std::vector<std::int32_t> ids) {
  const auto text_of = [&](std::int32_t id) { return texts[static_cast<std::size_t>(id)]; };
  std::erase_if(ids, [&](std::int32_t id) {
    return text_of(id).empty() || text_of(id).size() > kSpecialBytesMax;
  });
  std::ranges::sort(ids, {}, [&](std::int32_t id) { return std::pair(text_of(id), id); });
  const auto [first, last] = std::ranges::unique(ids, {}, text_of);
  ids.erase(first, last);
  return ids;
}

SpecialTokens::SpecialTokens(TokenTexts texts, std::span<const std::int32_t> sorted_ids)
    : texts_(texts), ids_(sorted_ids) {
  if (ids_.empty()) return;
  starts_.resize(257);
  for (const std::int32_t id : ids_) {
    ++starts_[static_cast<unsigned char>(texts_[static_cast<std::size_t>(id)][0]) + 1U];
  }
  for (std::size_t b = 0; b < 256; ++b) starts_[b + 1] += starts_[b];
}

SpecialTokens::Match SpecialTokens::find(std::string_view text, std::size_t pos) const {
  const auto text_of = [&](std::uint32_t i) {
    return texts_[static_cast<std::size_t>(ids_[i])];
  };
  for (; !ids_.empty() && pos < text.size(); ++pos) {
    const auto lead = static_cast<unsigned char>(text[pos]);
    std::uint32_t low = starts_[lead], high = starts_[lead + 1U];

    // All of [low, high) agree with the text in `depth` bytes; the one that ends there, if any, is
    // the first.  Narrow the range byte by byte and remember the last that ended.
    Match match{text.size(), 0, -1};
    for (std::size_t depth = 1; low < high; ++depth) {
      if (text_of(low).size() == depth) match = {pos, depth, ids_[low++]};
      if (low == high || pos + depth == text.size()) break;
      const auto byte_at = [&](std::uint32_t i) {
        return static_cast<unsigned char>(text_of(i)[depth]);
      };
      const auto next = static_cast<unsigned char>(text[pos + depth]);
      const auto indices = std::views::iota(low, high);
      const auto range = std::ranges::equal_range(indices, next, {}, byte_at);
      const auto offset = static_cast<std::uint32_t>(range.begin() - indices.begin());
      high = low + static_cast<std::uint32_t>(range.end() - indices.begin());
      low += offset;
    }
    if (match.length > 0) return match;
  }
  return {text.size(), 0, -1};
}

}  // namespace hearth::text

#include "engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

#include "engine/random.h"

namespace hearth::engine {
namespace {

using text::TokenId;

constexpr std::size_t kGramTokens = 3;
constexpr std::size_t kPlacesMin = 4096;
constexpr std::size_t kPlacesMax = 65536;

}  // namespace

PromptLookup::PromptLookup(std::size_t n_prompt)
    : n_places_(std::clamp(std::bit_ceil(2 * n_prompt + 1), kPlacesMin, kPlacesMax)) {}

std::uint32_t& PromptLookup::place_of(const TokenId* gram) {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < kGramTokens; ++i) {
    hash = mix64(hash + static_cast<std::uint64_t>(gram[i]));
  }
  return after_[hash & (n_places_ - 1)];
}

// Remembers the grams that end before `end`.
void PromptLookup::index_up_to(std::span<const TokenId> tokens, std::size_t end) {
  for (n_indexed_ = std::max(n_indexed_, kGramTokens); n_indexed_ < end; ++n_indexed_) {
    place_of(&tokens[n_indexed_ - kGramTokens]) = static_cast<std::uint32_t>(n_indexed_);
  }
}

void PromptLookup::propose(std::span<const TokenId> tokens, std::uint32_t n_max,
                           std::vector<TokenId>& draft) {
  draft.clear();
  const std::uint32_t n_wanted = std::min({n_max, n_worthwhile(), kDraftTokensMax});
  if (n_wanted == 0) trust_.recover();
  if (n_wanted == 0 || tokens.size() <= kGramTokens) return;
  if (after_.empty()) after_.resize(n_places_);
  index_up_to(tokens, tokens.size());
  const TokenId* const last = &tokens[tokens.size() - kGramTokens];
  const std::size_t at = place_of(last);
  // Another gram may have taken the place.
  if (at < kGramTokens || !std::equal(last, last + kGramTokens, &tokens[at - kGramTokens])) return;
  const auto here = tokens.subspan(at, std::min<std::size_t>(n_wanted, tokens.size() - at));
  draft.assign(here.begin(), here.end());
}

}  // namespace hearth::engine

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

// What checking drafts costs in parts of a step: something at all, and something for each. Measured
// (model_bench, checked_step) on two cores for 0.5 B models: with Q4_K_M 0.31 for one draft and
// 1.26 for seven, with Q8_0 0.15 and 0.63.
constexpr float kAnyCost = 0.15F;
constexpr float kRowCost = 0.16F;
constexpr float kTrustAtFirst = 0.5F;
constexpr float kTrustMin = 0.02F;
constexpr float kTrustMax = 0.98F;
constexpr float kLearningRate = 0.15F;  // Of each token that was checked.
constexpr float kRecovery = 0.001F;     // Of trust, for each step that drafted nothing.

}  // namespace

PromptLookup::PromptLookup(std::size_t n_prompt)
    : n_places_(std::clamp(std::bit_ceil(2 * n_prompt + 1), kPlacesMin, kPlacesMax)),
      trust_(kTrustAtFirst) {}

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
  if (n_wanted == 0) trust_ = std::min(trust_ + kRecovery, kTrustAtFirst);
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

void PromptLookup::learn(std::uint32_t n_drafted, std::uint32_t n_taken) {
  for (std::uint32_t i = 0; i < n_taken; ++i) trust_ += kLearningRate * (1.0F - trust_);
  if (n_taken < n_drafted) trust_ -= kLearningRate * trust_;
  trust_ = std::clamp(trust_, kTrustMin, kTrustMax);
}

std::uint32_t PromptLookup::n_worthwhile() const {
  std::uint32_t best = 0;
  float best_rate = 1.0F;
  float expected = 1.0F;  // Tokens that a step with k drafts yields.
  float chance = 1.0F;
  for (std::uint32_t k = 1; k <= kDraftTokensMax; ++k) {
    chance *= trust_;
    expected += chance;
    const float rate = expected / (1.0F + kAnyCost + kRowCost * static_cast<float>(k));
    if (rate <= best_rate) continue;
    best = k;
    best_rate = rate;
  }
  return best;
}

}  // namespace hearth::engine

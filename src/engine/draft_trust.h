// How many drafted tokens pay, given how the last ones did.
//
// A step that checks k drafts yields (1 - a^(k+1)) / (1 - a) tokens if each is taken with a chance
// `a`, at a price that was measured; the best k is taken.  Where none pays none is drafted, and
// trust comes back slowly, so that a text that has become easy is found out at next to no cost.
#pragma once

#include <algorithm>
#include <cstdint>

namespace hearth::engine {

inline constexpr std::uint32_t kDraftTokensMax = 7;  // With the pending token a batch of 8.

// What checking drafts costs in parts of a step: something at all, and something for each. Measured
// (model_bench, checked_step) on two cores for 0.5 B models: with Q4_K_M 0.31 for one draft and
// 1.26 for seven, with Q8_0 0.15 and 0.63.
inline constexpr float kAnyDraftCost = 0.15F;
inline constexpr float kDraftCost = 0.16F;

class DraftTrust {
 public:
  static constexpr float kAtFirst = 0.5F;

  explicit DraftTrust(float at_first = kAtFirst, float learning_rate = 0.15F)
      : trust_(at_first), learning_rate_(learning_rate) {}

  // Of n_drafted tokens n_taken were what the model chose.
  void learn(std::uint32_t n_drafted, std::uint32_t n_taken) {
    for (std::uint32_t i = 0; i < n_taken; ++i) trust_ += learning_rate_ * (1.0F - trust_);
    if (n_taken < n_drafted) trust_ -= learning_rate_ * trust_;
    trust_ = std::clamp(trust_, kMin, kMax);
  }

  // A step drafted nothing.
  void recover() { trust_ = std::max(trust_, std::min(trust_ + kRecovery, kAtFirst)); }

  // The chance that a drafted token is taken.
  float chance() const { return trust_; }

  struct Choice {
    std::uint32_t n_drafts = 0;
    float gain = 0;  // Tokens per step's time, beyond the one that there is without drafts.
  };
  // Where making a draft costs `making_cost` of a step beyond checking it.
  Choice best(float making_cost) const {
    Choice best;
    float expected = 1.0F;
    float chance = 1.0F;
    for (std::uint32_t k = 1; k <= kDraftTokensMax; ++k) {
      chance *= trust_;
      expected += chance;
      const float cost =
          1.0F + kAnyDraftCost + (kDraftCost + making_cost) * static_cast<float>(k);
      if (expected / cost - 1.0F > best.gain) best = {k, expected / cost - 1.0F};
    }
    return best;
  }

 private:
  static constexpr float kMin = 0.02F;
  static constexpr float kMax = 0.98F;
  static constexpr float kRecovery = 0.001F;

  float trust_;
  float learning_rate_;  // Of each token that was checked.
};

}  // namespace hearth::engine

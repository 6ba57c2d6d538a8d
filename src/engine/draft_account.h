// What drafting for one model by another has cost and brought so far.
//
// A draft model's speed beside its target and the share of its drafts that are taken are known only
// by trying, and trying costs: its passes, and first of all a prefill of what the target has read
// already.  So each pair of models has an account, in steps of the target: each draft is paid for,
// each token that was taken is earned, and while little is known no more is risked than
// kDraftLossMax of the steps that were made anyway.  Once enough drafts have been checked, a
// session's prompt is caught up with where the answer is expected to earn it back; an answer is
// expected to go on for as long as it has gone.
#pragma once

#include <cstdint>

#include "engine/draft_trust.h"

namespace hearth::engine {

inline constexpr float kDraftLossMax = 0.02F;       // Of a model's steps.
inline constexpr float kDraftSlackSteps = 6.0F;     // That may be lost before there are any.
inline constexpr std::uint32_t kDraftChecksFirst = 8;  // Drafts of one token, to begin with.
inline constexpr std::uint32_t kDraftChecksEnough = 48;

// Threading: externally synchronised.
class DraftAccount {
 public:
  // Times of a pass of the draft model that decodes, and of a step of the target that decodes and
  // checks n_drafted drafts; 0 (a clock that stands still) teaches nothing.
  void time_pass(std::int64_t ns);
  void time_step(std::int64_t ns, std::uint32_t n_drafted);

  // How many drafts to make for a session with this trust that has sampled n_sampled tokens, where
  // the draft model has n_missing tokens to catch up with.
  std::uint32_t n_worthwhile(const DraftTrust& trust, std::uint32_t n_missing,
                             std::uint32_t n_sampled) const;

  // One step of a session with a draft model.
  void count_step() { steps_ += 1.0F; }
  void pay_catching_up(std::uint32_t n_tokens) { settle(-catch_up_cost(n_tokens)); }
  // A step with n_drafted drafts, of which n_taken were taken.
  void learn(std::uint32_t n_drafted, std::uint32_t n_taken);

  // For sessions that begin.
  DraftTrust first_trust() const { return DraftTrust(trust_.chance()); }

 private:
  static void average(float& mean_ns, float ns);
  float pass_cost() const;
  float draft_cost(std::uint32_t n_drafts) const;
  float catch_up_cost(std::uint32_t n_tokens) const;
  void settle(float steps);

  float pass_ns_ = 0;
  float step_ns_ = 0;
  DraftTrust trust_{0.7F, 0.03F};
  std::uint32_t n_checked_ = 0;
  float steps_ = 0;
  float balance_ = 0;  // Steps earned less steps paid, no more than kDraftSlackSteps.
};

}  // namespace hearth::engine

#include "engine/draft_account.h"

#include <algorithm>

namespace hearth::engine {
namespace {

constexpr float kPassCostAtFirst = 0.15F;  // A tenth of the weights, and what each pass costs at all.
// Of a pass, for each token of a prompt: products of many rows are that much faster.
constexpr float kPromptTokenPart = 0.3F;
constexpr float kAveraging = 0.2F;
constexpr std::uint32_t kAnswerAtFirstTokens = 16;

}  // namespace

void DraftAccount::average(float& mean_ns, float ns) {
  if (ns <= 0) return;
  mean_ns = mean_ns == 0 ? ns : mean_ns + kAveraging * (ns - mean_ns);
}

void DraftAccount::time_pass(std::int64_t ns) { average(pass_ns_, static_cast<float>(ns)); }

void DraftAccount::time_step(std::int64_t ns, std::uint32_t n_drafted) {
  const float checking =
      n_drafted == 0 ? 0 : kAnyDraftCost + kDraftCost * static_cast<float>(n_drafted);
  average(step_ns_, static_cast<float>(ns) / (1.0F + checking));
}

float DraftAccount::pass_cost() const {
  return pass_ns_ > 0 && step_ns_ > 0 ? pass_ns_ / step_ns_ : kPassCostAtFirst;
}

float DraftAccount::draft_cost(std::uint32_t n_drafts) const {
  return kAnyDraftCost + (kDraftCost + pass_cost()) * static_cast<float>(n_drafts);
}

float DraftAccount::catch_up_cost(std::uint32_t n_tokens) const {
  return pass_cost() * kPromptTokenPart * static_cast<float>(n_tokens);
}

// What was earned in good times is no licence to lose it all.
void DraftAccount::settle(float steps) {
  balance_ = std::min(balance_ + steps, kDraftSlackSteps);
}

void DraftAccount::learn(std::uint32_t n_drafted, std::uint32_t n_taken) {
  trust_.learn(n_drafted, n_taken);
  n_checked_ += n_drafted;
  settle(static_cast<float>(n_taken) - draft_cost(n_drafted));
}

std::uint32_t DraftAccount::n_worthwhile(const DraftTrust& trust, std::uint32_t n_missing,
                                         std::uint32_t n_sampled) const {
  const DraftTrust::Choice choice = trust.best(pass_cost());
  if (choice.n_drafts == 0) return 0;
  const float floor = -kDraftSlackSteps - kDraftLossMax * steps_;
  const float catching_up = catch_up_cost(n_missing);
  if (n_checked_ < kDraftChecksEnough) {
    const std::uint32_t n = n_checked_ < kDraftChecksFirst ? 1 : choice.n_drafts;
    return balance_ - catching_up - draft_cost(n) >= floor ? n : 0;
  }
  const auto n_expected = static_cast<float>(std::max(n_sampled, kAnswerAtFirstTokens));
  const float saved = n_expected * choice.gain / (1.0F + choice.gain);
  return balance_ >= floor && saved >= catching_up ? choice.n_drafts : 0;
}

}  // namespace hearth::engine

#include "engine/step_costs.h"

#include <algorithm>
#include <bit>

namespace hearth::engine {
namespace {

// Follows a change within some steps; one that was disturbed counts as at most so much.
constexpr double kNewShare = 0.25;
constexpr double kOutlierFactor = 4.0;
// A prompt's chunk of so many tokens is believed at once.
constexpr double kSureTokens = 256;

void follow(double& known, double seen, double share = kNewShare) {
  if (known == 0) {
    known = seen;
  } else {
    known += share * (std::min(seen, kOutlierFactor * known) - known);
  }
}

}  // namespace

std::uint32_t StepCosts::size_of(std::uint32_t n_tokens) {
  return std::min<std::uint32_t>(static_cast<std::uint32_t>(std::bit_width(n_tokens - 1)), kSizes - 1);
}

void StepCosts::learn(std::uint32_t n_decoded, std::uint32_t n_prompt, double ms) {
  if (ms <= 0 || n_decoded + n_prompt == 0) return;
  if (n_prompt == 0) return follow(decode_ms_[size_of(n_decoded)], ms);
  if (n_decoded == 0) {
    // Less the sweep of the weights, which a decoding batch beside it would have paid for.
    const double own_ms = std::max(ms - decode_ms(1), ms / kOutlierFactor);
    return follow(prompt_token_ms_, own_ms / n_prompt, std::clamp(n_prompt / kSureTokens, kNewShare, 1.0));
  }
  learn_mixed(decode_ms_[size_of(n_decoded)], n_decoded, n_prompt, ms);
}

void StepCosts::learn_mixed(double& decode_ms, std::uint32_t n_decoded, std::uint32_t n_prompt,
                            double ms) {
  if (decode_ms == 0 && prompt_token_ms_ == 0) {
    prompt_token_ms_ = ms / (n_decoded + n_prompt);
  } else if (decode_ms == 0) {
    // At least a decoded token's share of the batch.
    const double rest = ms - n_prompt * prompt_token_ms_;
    decode_ms = std::max(rest, ms * n_decoded / (n_decoded + n_prompt));
  } else if (prompt_token_ms_ == 0) {
    // Never nothing: a sweep of the weights that a few tokens share would look free.
    prompt_token_ms_ = std::max(ms - decode_ms, ms / kOutlierFactor) / n_prompt;
  } else {
    // Both alike.  Were all of a surprise the prompt's, a decode step that is longer than thought would
    // make its tokens dear, so fewer, so dearer still.
    const double seen = ms / (decode_ms + n_prompt * prompt_token_ms_);
    const double scale = 1 + kNewShare * (std::min(seen, kOutlierFactor) - 1);
    decode_ms *= scale;
    prompt_token_ms_ *= scale;
  }
}

double StepCosts::decode_ms(std::uint32_t n_decoded) const {
  if (n_decoded == 0) return 0;
  const std::uint32_t size = size_of(n_decoded);
  for (std::uint32_t i = size + 1; i-- > 0;) {
    if (decode_ms_[i] > 0) return decode_ms_[i];
  }
  // A larger batch's time, as if it were all for its tokens.
  for (std::uint32_t i = size + 1; i < kSizes; ++i) {
    if (decode_ms_[i] > 0) return decode_ms_[i] / static_cast<double>(1U << (i - size));
  }
  return 0;
}

}  // namespace hearth::engine

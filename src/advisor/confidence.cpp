#include "advisor/confidence.h"

#include <algorithm>
#include <cmath>

namespace hearth::advisor {

void ConfidenceMeter::add(const TokenSignal& signal) {
  if (n_tokens_++ == 0) first_unsure_ = std::clamp<double>(signal.unsure_probability, 0, 1);
  const double doubt =
      std::clamp<double>(-signal.logprob, 0, 100) + std::clamp<double>(signal.entropy, 0, 100);
  sum_ -= doubt / 2;
  segment_sum_ -= doubt / 2;
  if (++segment_tokens_ < kSegmentTokens) return;
  least_segment_mean_ = std::min(least_segment_mean_, segment_sum_ / segment_tokens_);
  segment_sum_ = 0;
  segment_tokens_ = 0;
}

double ConfidenceMeter::value() const {
  if (ended_unsure_) return 0;
  if (has_unsure_token_) return 1 - first_unsure_;
  if (n_tokens_ == 0) return 1;
  const double mean = sum_ / n_tokens_;
  // A last segment of a few tokens would be mostly noise: it counts once it is half full, or alone.
  double least = least_segment_mean_;
  if (segment_tokens_ * 2 >= kSegmentTokens || n_tokens_ < kSegmentTokens) {
    least = std::min(least, segment_sum_ / std::max(segment_tokens_, 1U));
  }
  return std::exp((mean + least) / 2);
}

bool ConfidenceMeter::is_settled_above(double threshold) const {
  if (ended_unsure_ || n_tokens_ == 0) return false;
  if (has_unsure_token_) return value() >= threshold;
  return n_tokens_ >= kSettleTokens && value() >= threshold + kSettleMargin;
}

}  // namespace hearth::advisor

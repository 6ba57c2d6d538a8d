#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hearth::model {

namespace {

// Where on the ramp each pair lies: 1 is kept, 0 is stretched.
class YarnRamp {
 public:
  YarnRamp(const RopeScaling& scaling, std::uint32_t rope_dim)
      : low_(std::floor(pair_that_turns(scaling, rope_dim, scaling.beta_fast))),
        high_(std::ceil(pair_that_turns(scaling, rope_dim, scaling.beta_slow))) {}

  double at(std::size_t pair) const {
    const double x = (static_cast<double>(pair) - low_) / std::max(high_ - low_, 1e-3);
    return 1.0 - std::clamp(x, 0.0, 1.0);
  }

 private:
  // The pair, as a real number, that turns `turns` times within the first context.
  static double pair_that_turns(const RopeScaling& scaling, std::uint32_t rope_dim, float turns) {
    const double length =
        scaling.n_context_first / (static_cast<double>(turns) * 2 * std::numbers::pi);
    const double pair = rope_dim * std::log(length) / (2 * std::log(scaling.theta));
    return std::clamp(pair, 0.0, rope_dim - 1.0);
  }

  double low_;
  double high_;
};

}  // namespace

Rope make_rope(const RopeScaling& scaling, std::uint32_t rope_dim, const float* factors) {
  const bool is_yarn = scaling.kind == RopeScaling::Kind::kYarn;
  const auto stretch = static_cast<double>(scaling.factor);
  const YarnRamp ramp(scaling, rope_dim);
  Rope rope{std::vector<double>(rope_dim / 2), static_cast<double>(scaling.attention_factor)};
  for (std::size_t i = 0; i < rope.frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / rope_dim;
    const double factor = factors == nullptr ? 1.0 : static_cast<double>(factors[i]);
    const double plain = std::pow(static_cast<double>(scaling.theta), exponent) / factor;
    const double kept = is_yarn ? ramp.at(i) : 0.0;
    rope.frequencies[i] = plain / stretch * (1.0 - kept) + plain * kept;
  }
  if (is_yarn && stretch > 1) {
    const double growth = 0.1 * std::log(stretch);
    rope.magnitude *= (1.0 + growth) / (1.0 + static_cast<double>(scaling.log_multiplier) * growth);
  }
  return rope;
}

void rope_angles(const Rope& rope, std::uint32_t position, float* out) {
  float* const cosines = out;
  float* const sines = out + rope.frequencies.size();
  for (std::size_t i = 0; i < rope.frequencies.size(); ++i) {
    const double angle = position * rope.frequencies[i];
    cosines[i] = static_cast<float>(std::cos(angle) * rope.magnitude);
    sines[i] = static_cast<float>(std::sin(angle) * rope.magnitude);
  }
}

void rope_rotate(RopePairs pairs, const float* angles, std::uint32_t n_pairs, float* head) {
  const float* const cosines = angles;
  const float* const sines = angles + n_pairs;
  const std::uint32_t step = pairs == RopePairs::kAdjacent ? 2 : 1;         // To the next pair.
  const std::uint32_t apart = pairs == RopePairs::kAdjacent ? 1 : n_pairs;  // Within a pair.
  for (std::uint32_t i = 0; i < n_pairs; ++i) {
    float& a = head[i * step];
    float& b = head[i * step + apart];
    const float turned_a = a * cosines[i] - b * sines[i];
    const float turned_b = a * sines[i] + b * cosines[i];
    a = turned_a;
    b = turned_b;
  }
}

}  // namespace hearth::model

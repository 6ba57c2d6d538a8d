// Rotary embedding against its definition, written out in double.
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hearth::model {
namespace {

RopeScaling plain(float theta) { return {.theta = theta}; }

TEST(Rope, FrequenciesFollowTheDefinition) {
  const Rope rope = make_rope(plain(500000.0F), 64, nullptr);
  ASSERT_EQ(rope.frequencies.size(), 32U);
  for (std::size_t i = 0; i < rope.frequencies.size(); ++i) {
    EXPECT_NEAR(rope.frequencies[i], std::pow(500000.0, -static_cast<double>(i) / 32), 1e-15);
  }
}

TEST(Rope, FactorsAndLinearScaleDivide) {
  const float factors[] = {1.0F, 2.0F, 8.0F, 32.0F};
  const Rope unscaled = make_rope(plain(10000.0F), 8, nullptr);
  const Rope scaled = make_rope(
      {.kind = RopeScaling::Kind::kLinear, .theta = 10000.0F, .factor = 4.0F}, 8, factors);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(scaled.frequencies[i],
                     unscaled.frequencies[i] / static_cast<double>(factors[i]) / 4.0);
  }
}

TEST(Rope, YarnKeepsFastPairsAndStretchesSlowOnes) {
  const RopeScaling scaling{.kind = RopeScaling::Kind::kYarn,
                            .theta = 150000.0F,
                            .factor = 32.0F,
                            .n_context_first = 4096};
  const Rope kept = make_rope(plain(150000.0F), 64, nullptr);
  const Rope rope = make_rope(scaling, 64, nullptr);
  EXPECT_NEAR(rope.magnitude, 1 + 0.1 * std::log(32.0), 1e-12);
  for (std::size_t i = 0; i < 32; ++i) {
    const double turns = kept.frequencies[i] * 4096 / (2 * 3.14159265358979);
    const double stretch = kept.frequencies[i] / rope.frequencies[i];
    if (turns > 32) {
      EXPECT_NEAR(stretch, 1, 1e-12) << i;
    }
    if (turns < 1) {
      EXPECT_NEAR(stretch, 32, 1e-9) << i;
    }
    EXPECT_GE(stretch, 1 - 1e-12) << i;
    EXPECT_LE(stretch, 32 + 1e-9) << i;
  }
}

// Turns `head` by the definition; `first` and `second` give the elements of pair i.
template <class First, class Second>
std::vector<double> turned(std::vector<float> head, std::uint32_t n_pairs, double theta,
                           std::uint32_t position, First first, Second second) {
  std::vector<double> out(head.begin(), head.end());
  for (std::uint32_t i = 0; i < n_pairs; ++i) {
    const double angle = position * std::pow(theta, -static_cast<double>(i) / n_pairs);
    const double a = static_cast<double>(head[first(i)]);
    const double b = static_cast<double>(head[second(i)]);
    out[first(i)] = a * std::cos(angle) - b * std::sin(angle);
    out[second(i)] = a * std::sin(angle) + b * std::cos(angle);
  }
  return out;
}

TEST(Rope, TurnsTheRightPairsAndLeavesTheRest) {
  constexpr std::uint32_t kPairs = 4;
  const Rope rope = make_rope(plain(100.0F), 2 * kPairs, nullptr);
  for (const std::uint32_t position : {0U, 1U, 7U, 100'000U}) {
    float angles[2 * kPairs];
    rope_angles(rope, position, angles);
    // Two elements lie past the rotated ones.
    const std::vector<float> head{1, -2, 3, 0.5F, -1, 4, 2, -3, 42, 43};
    const auto even = [](std::uint32_t i) { return 2 * i; };
    const auto odd = [](std::uint32_t i) { return 2 * i + 1; };
    const auto low = [](std::uint32_t i) { return i; };
    const auto high = [](std::uint32_t i) { return i + kPairs; };

    std::vector<float> adjacent = head;
    rope_rotate(RopePairs::kAdjacent, angles, kPairs, adjacent.data());
    std::vector<float> split = head;
    rope_rotate(RopePairs::kSplitHalf, angles, kPairs, split.data());
    const auto adjacent_true = turned(head, kPairs, 100.0, position, even, odd);
    const auto split_true = turned(head, kPairs, 100.0, position, low, high);
    for (std::size_t i = 0; i < head.size(); ++i) {
      EXPECT_NEAR(adjacent[i], adjacent_true[i], 1e-6) << position;
      EXPECT_NEAR(split[i], split_true[i], 1e-6) << position;
    }
  }
}

}  // namespace
}  // namespace hearth::model

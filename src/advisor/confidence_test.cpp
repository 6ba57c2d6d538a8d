// The confidence formula at its ends and in between.
#include "advisor/confidence.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hearth::advisor {
namespace {

ConfidenceMeter meter_of(int n, float logprob, float entropy) {
  ConfidenceMeter meter(false);
  for (int i = 0; i < n; ++i) meter.add({logprob, entropy});
  return meter;
}

TEST(Confidence, StaysWithinItsRange) {
  EXPECT_DOUBLE_EQ(ConfidenceMeter(false).value(), 1);
  EXPECT_DOUBLE_EQ(meter_of(100, 0, 0).value(), 1);
  EXPECT_GT(meter_of(100, -50, 10).value(), 0);
  EXPECT_LT(meter_of(100, -50, 10).value(), 1e-6);
  EXPECT_GE(meter_of(3, -INFINITY, 1).value(), 0);
}

TEST(Confidence, IsTheGeometricMeanForAnEvenAnswer) {
  EXPECT_NEAR(meter_of(64, -0.3F, 0.5F).value(), std::exp(-0.4), 1e-6);
}

TEST(Confidence, OneShakySegmentCountsBesideAFluentRest) {
  ConfidenceMeter meter(false);
  for (int i = 0; i < 160; ++i) meter.add({i < 16 ? -3.0F : -0.05F, 0});
  const double mean = (16 * -1.5 + 144 * -0.025) / 160;
  EXPECT_NEAR(meter.value(), std::exp((mean - 1.5) / 2), 1e-6);
  EXPECT_LT(meter.value(), meter_of(160, static_cast<float>(2 * mean), 0).value());
}

TEST(Confidence, AShortRestIsNoSegmentOfItsOwn) {
  ConfidenceMeter meter = meter_of(160, -0.1F, 0.1F);
  const double before = meter.value();
  meter.add({-4, 2});
  EXPECT_GT(meter.value(), before * 0.95);
}

TEST(Confidence, ATrainedSelfAssessmentIsBelieved) {
  ConfidenceMeter meter(true);
  meter.add({-5, 5, 0.2F});
  meter.add({-5, 5, 0.9F});  // Only the first position counts.
  EXPECT_NEAR(meter.value(), 0.8, 1e-6);
  meter.end_unsure();
  EXPECT_EQ(meter.value(), 0);
}

TEST(Confidence, SettlesAfterEnoughSureTokensOrASureFirstOne) {
  EXPECT_FALSE(meter_of(47, 0, 0).is_settled_above(0.5));
  EXPECT_TRUE(meter_of(48, 0, 0).is_settled_above(0.5));
  EXPECT_FALSE(meter_of(48, -1, 1).is_settled_above(0.5));
  ConfidenceMeter trained(true);
  EXPECT_FALSE(trained.is_settled_above(0.5));
  trained.add({-1, 1, 0.4F});
  EXPECT_TRUE(trained.is_settled_above(0.5));
  EXPECT_FALSE(trained.is_settled_above(0.7));
}

}  // namespace
}  // namespace hearth::advisor

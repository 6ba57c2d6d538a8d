#include "engine/step_costs.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

TEST(StepCosts, UnknownIsZero) {
  const StepCosts costs;
  EXPECT_EQ(costs.decode_ms(1), 0);
  EXPECT_EQ(costs.prompt_token_ms(), 0);
}

TEST(StepCosts, PureStepsSayIt) {
  StepCosts costs;
  costs.learn(1, 0, 8);
  costs.learn(0, 100, 158);
  EXPECT_DOUBLE_EQ(costs.decode_ms(1), 8);
  EXPECT_DOUBLE_EQ(costs.prompt_token_ms(), 1.5);
  costs.learn(0, 0, 5);
  costs.learn(1, 0, 0);
  EXPECT_DOUBLE_EQ(costs.decode_ms(1), 8);
}

TEST(StepCosts, NeighbouringSizesStandIn) {
  StepCosts costs;
  costs.learn(4, 0, 20);
  EXPECT_DOUBLE_EQ(costs.decode_ms(16), 20) << "at least that of a smaller one";
  EXPECT_DOUBLE_EQ(costs.decode_ms(1), 5) << "the part of a larger one";
  EXPECT_EQ(costs.decode_ms(0), 0);
  costs.learn(16, 0, 50);
  EXPECT_DOUBLE_EQ(costs.decode_ms(9), 50) << "9 to 16 are one size";
  EXPECT_DOUBLE_EQ(costs.decode_ms(8), 20);
  EXPECT_DOUBLE_EQ(costs.decode_ms(5000), 50);
}

// The first request of all is short, and slow: its file was not in memory.
TEST(StepCosts, ALongChunkIsBelievedAtOnce) {
  StepCosts costs;
  costs.learn(0, 40, 200);
  EXPECT_DOUBLE_EQ(costs.prompt_token_ms(), 5);
  costs.learn(0, 512, 512);
  EXPECT_DOUBLE_EQ(costs.prompt_token_ms(), 1);
}

TEST(StepCosts, MixedStepsTeachWhatIsMissing) {
  StepCosts costs;
  costs.learn(0, 100, 100);
  costs.learn(4, 20, 50);
  EXPECT_DOUBLE_EQ(costs.decode_ms(4), 30);
  for (int i = 0; i < 50; ++i) costs.learn(4, 20, 70);
  EXPECT_NEAR(costs.decode_ms(4) + 20 * costs.prompt_token_ms(), 70, 0.01);
  EXPECT_NEAR(costs.prompt_token_ms(), 1.4, 0.01);
}

// A decode step that takes longer than was thought must not starve prompts: each round lays as many
// tokens beside it as fit 25 ms.
TEST(StepCosts, SurprisesDoNotShrinkPromptsToNothing) {
  StepCosts costs;
  costs.learn(0, 100, 100);
  costs.learn(9, 0, 20);
  double n_tokens = 0;
  for (int i = 0; i < 100; ++i) {
    n_tokens = std::max(1.0, 25 / costs.prompt_token_ms());
    costs.learn(16, static_cast<std::uint32_t>(n_tokens), 31 + n_tokens);
  }
  EXPECT_GT(n_tokens, 18);
}

TEST(StepCosts, OneDisturbedStepIsForgotten) {
  StepCosts costs;
  costs.learn(1, 0, 10);
  costs.learn(1, 0, 5000);
  EXPECT_DOUBLE_EQ(costs.decode_ms(1), 17.5);
  for (int i = 0; i < 20; ++i) costs.learn(1, 0, 10);
  EXPECT_NEAR(costs.decode_ms(1), 10, 0.1);
}

}  // namespace
}  // namespace hearth::engine

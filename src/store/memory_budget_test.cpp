// Who gives memory back when it is short, and which model is expected next.
#include "store/memory_budget.h"

#include <gtest/gtest.h>

#include <random>

#include "store/switch_forecast.h"

namespace hearth::store {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class FakeResident final : public Resident {
 public:
  explicit FakeResident(std::uint64_t bytes) : all(bytes), held(bytes) {}
  std::uint64_t bytes_held() const override { return held; }
  double tail() const override { return static_cast<double>(held) / static_cast<double>(all); }
  std::uint64_t give_back(std::uint64_t bytes) override {
    if (is_used) return 0;
    const std::uint64_t given = std::min(held, bytes);
    held -= given;
    return given;
  }
  const std::uint64_t all;
  std::uint64_t held;
  bool is_used = false;
};

class MemoryBudgetTest : public testing::Test {
 protected:
  std::shared_ptr<FakeResident> make(std::uint64_t mib) { return std::make_shared<FakeResident>(mib * kMiB); }
  MemoryBudget budget_{1000 * kMiB};
};

TEST_F(MemoryBudgetTest, NothingGoesWithinTheBudget) {
  const auto a = make(500), b = make(500);
  for (const auto& r : {a, b}) {
    budget_.use(r, 500);
    budget_.settle(r.get());
  }
  EXPECT_EQ(budget_.bytes_used(), 1000 * kMiB);
}

TEST_F(MemoryBudgetTest, EqualsShrinkTogetherFromTheirEnds) {
  const auto a = make(500), b = make(500), c = make(400);
  for (const auto& r : {a, b, c}) budget_.use(r, static_cast<double>(r->all / kMiB));
  budget_.settle(c.get());
  EXPECT_EQ(budget_.bytes_used(), 1000 * kMiB);
  EXPECT_EQ(c->held, c->all);
  EXPECT_NEAR(static_cast<double>(a->held), static_cast<double>(b->held), 17.0 * kMiB);
}

TEST_F(MemoryBudgetTest, WhatIsUsedOftenKeepsMore) {
  const auto often = make(500), once = make(500), next = make(400);
  for (int i = 0; i < 5; ++i) budget_.use(often, 500);
  budget_.use(once, 500);
  budget_.use(next, 400);
  budget_.settle(next.get());
  EXPECT_EQ(often->held, often->all);
  EXPECT_EQ(once->held, 100 * kMiB);
}

TEST_F(MemoryBudgetTest, WhatWasOnceUsedOftenAgesAway) {
  const auto old = make(400), a = make(400), b = make(400);
  for (int i = 0; i < 5; ++i) budget_.use(old, 400);
  for (int i = 0; i < 60; ++i) {
    const auto& r = i % 2 == 0 ? a : b;
    r->held = r->all;
    budget_.use(r, 400);
    budget_.settle(r.get());
  }
  EXPECT_LT(old->held, a->held + b->held);
  EXPECT_LT(old->held, 250 * kMiB);
}

TEST_F(MemoryBudgetTest, WhatIsUsedStaysAndTheNewestMayExceedAll) {
  const auto used = make(600), newest = make(2000), free = make(100);
  used->is_used = true;
  for (const auto& r : {used, free, newest}) budget_.use(r, 1);
  budget_.settle(newest.get());
  EXPECT_EQ(used->held, 600 * kMiB);
  EXPECT_EQ(newest->held, 2000 * kMiB);
  EXPECT_EQ(free->held, 0U);
  budget_.forget(newest.get());
  EXPECT_EQ(budget_.bytes_used(), 600 * kMiB);
}

TEST(SwitchForecast, LearnsTurnsThatRepeat) {
  SwitchForecast forecast;
  for (int i = 0; i < 20; ++i) {
    for (const char* name : {"plan", "code", "code", "plan", "check"}) {
      forecast.note(name);
      (void)forecast.guess();
    }
  }
  // After two rounds it knows; "plan" alone would not say what comes next, the two before do.
  EXPECT_GE(forecast.stats().hits, 60U);
  EXPECT_GE(static_cast<double>(forecast.stats().hits), 0.95 * static_cast<double>(forecast.stats().guesses));
}

TEST(SwitchForecast, GuessesNothingOfChanceAndUnlearnsWhatChanged) {
  SwitchForecast forecast;
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    forecast.note(std::to_string(random() % 8));
    (void)forecast.guess();
  }
  EXPECT_LT(forecast.stats().guesses, 500U);

  for (int i = 0; i < 20; ++i) {
    for (const char* name : {"a", "b"}) forecast.note(name);
  }
  ASSERT_TRUE(forecast.guess());
  EXPECT_EQ(forecast.guess()->name, "a");
  for (int i = 0; i < 10; ++i) {
    for (const char* name : {"c", "a", "b"}) forecast.note(name);
  }
  ASSERT_TRUE(forecast.guess());
  EXPECT_EQ(forecast.guess()->name, "c");
}

}  // namespace
}  // namespace hearth::store

// Money: worst cases, lies, and rounding.
#include "advisor/pricing.h"

#include <gtest/gtest.h>

#include <limits>

namespace hearth::advisor {
namespace {

// 3 USD per million in, 15 out, 0.30 cached.
constexpr Prices kPrices{3'000'000, 15'000'000, 300'000};
constexpr Traffic kTraffic{.request_bytes = 1000, .content_bytes = 400, .max_output_tokens = 200};

TEST(Pricing, WorstCaseIsATokenPerByteAndTheWholeOutput) {
  EXPECT_EQ(worst_case_usd_micro(kPrices, kTraffic), 1000 * 3 + 200 * 15);
}

TEST(Pricing, RoundsUp) {
  EXPECT_EQ(worst_case_usd_micro({1, 0}, {.request_bytes = 1}), 1);
  EXPECT_EQ(worst_case_usd_micro({0, 0}, kTraffic), 0);
}

TEST(Pricing, ChargesWhatIsReportedWhenItIsPlausible) {
  const TokenUse use{.prompt_tokens = 250, .cached_tokens = 100, .completion_tokens = 100};
  // 150 * 3 + 100 * 0.3 + 100 * 15
  EXPECT_EQ(charge_usd_micro(kPrices, kTraffic, use), 450 + 30 + 1500);
  EXPECT_EQ(reported_usd_micro(kPrices, use), 1980);
}

TEST(Pricing, CachedTokensCostTheFullPriceIfTheirsIsUnknown) {
  const TokenUse use{.prompt_tokens = 250, .cached_tokens = 100, .completion_tokens = 0};
  EXPECT_EQ(charge_usd_micro({3'000'000, 0}, {.request_bytes = 1000}, use), 750);
}

TEST(Pricing, NoReportCostsTheWorstCase) {
  EXPECT_EQ(charge_usd_micro(kPrices, kTraffic, {}), worst_case_usd_micro(kPrices, kTraffic));
  EXPECT_EQ(charge_usd_micro(kPrices, kTraffic, {.prompt_tokens = 250}), 250 * 3 + 200 * 15)
      << "a stream that broke: its input is known, its output is not";
  EXPECT_EQ(reported_usd_micro(kPrices, {}), 0);
}

TEST(Pricing, LiesAreBroughtIntoWhatTheBytesAllow) {
  // "No tokens at all": at least a token per 16 bytes, both ways.
  EXPECT_EQ(charge_usd_micro(kPrices, kTraffic, {.prompt_tokens = 0, .completion_tokens = 0}),
            (1000 / 16) * 3 + (400 / 16) * 15);
  // "A billion tokens": never more than was reserved.
  EXPECT_EQ(charge_usd_micro(kPrices, kTraffic,
                             {.prompt_tokens = 1'000'000'000, .completion_tokens = 1'000'000'000}),
            worst_case_usd_micro(kPrices, kTraffic));
  // "All of it cached, and more": what can't be makes nothing cheaper.
  EXPECT_EQ(
      charge_usd_micro(kPrices, kTraffic,
                       {.prompt_tokens = 250, .cached_tokens = 9999, .completion_tokens = 25}),
      250 * 3 + 25 * 15);
}

TEST(Pricing, FourBucketsHaveFourPrices) {
  Prices prices = kPrices;
  prices.cache_write_usd_micro_per_mtok = 3'750'000;
  TokenUse use{.prompt_tokens = 800, .cached_tokens = 400, .completion_tokens = 100, .cache_write_tokens = 200};
  EXPECT_EQ(charge_usd_micro(prices, kTraffic, use), 200 * 3 + 400 * 300 / 1000 + 200 * 15 / 4 + 100 * 15);
  EXPECT_EQ(reported_usd_micro(prices, use), charge_usd_micro(prices, kTraffic, use));
  use.kept_write_tokens = 80;  // At twice the price of input.
  EXPECT_EQ(charge_usd_micro(prices, kTraffic, use), 600 + 120 + 120 * 15 / 4 + 80 * 6 + 1500);
  EXPECT_EQ(worst_case_usd_micro(prices, kTraffic), 1000 * 15 / 4 + 200 * 15) << "all of it might be written";
  use.cache_write_tokens = 401;  // More parts than the whole.
  EXPECT_EQ(charge_usd_micro(prices, kTraffic, use), 800 * 15 / 4 + 1500);
}

TEST(Pricing, LongPromptsMakeTheWholeCallDearer) {
  Prices prices = kPrices;
  prices.long_prompt_tokens = 600;
  prices.long_in_percent = 200;
  prices.long_out_percent = 150;
  const auto charge = [&](std::int64_t prompt) {
    return charge_usd_micro(prices, kTraffic, {.prompt_tokens = prompt, .cached_tokens = 100, .completion_tokens = 100});
  };
  EXPECT_EQ(charge(600), 500 * 3 + 30 + 1500);
  EXPECT_EQ(charge(601), 2 * (501 * 3 + 30) + 1500 * 3 / 2);
  EXPECT_EQ(worst_case_usd_micro(prices, kTraffic), 2 * 3000 + 3000 * 3 / 2);
}

TEST(Pricing, WhatTheProviderAddsIsReserved) {
  Traffic traffic = kTraffic;
  traffic.added_prompt_tokens = 500;
  EXPECT_EQ(worst_case_usd_micro(kPrices, traffic), 1500 * 3 + 200 * 15);
  EXPECT_EQ(charge_usd_micro(kPrices, traffic, {.prompt_tokens = 1400, .completion_tokens = 30}), 4200 + 450);
}

TEST(Pricing, NothingOverflows) {
  const auto huge = std::numeric_limits<std::int64_t>::max();
  const Prices dear{huge, huge, huge};
  EXPECT_GE(worst_case_usd_micro(dear, {.request_bytes = 1u << 30, .max_output_tokens = ~0u}), 0);
  EXPECT_GE(reported_usd_micro(dear, {huge, huge, huge}), 0);
}

}  // namespace
}  // namespace hearth::advisor

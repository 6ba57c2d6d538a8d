#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "engine/float4.h"
#include "engine/random.h"

namespace hearth::engine {
namespace {

std::vector<float> random_logits(std::size_t n, unsigned seed, float spread = 3.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(random);
  return logits;
}

// The stages as sampling.h describes them, in double and with full sorts: what is left, and with
// what probability.
std::map<TokenId, double> reference_distribution(std::vector<float> logits,
                                                 const SamplingOptions& options) {
  struct Entry {
    TokenId id;
    double logit, p;
  };
  for (const auto& [id, bias] : options.logit_bias) logits[static_cast<std::size_t>(id)] += bias;
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    entries.push_back({static_cast<TokenId>(i),
                       static_cast<double>(logits[i]) / static_cast<double>(options.temperature),
                       0.0});
  }
  const auto normalise = [&] {
    double max = -1e300, total = 0;
    for (const Entry& e : entries) max = std::max(max, e.logit);
    for (Entry& e : entries) total += e.p = std::exp(e.logit - max);
    for (Entry& e : entries) e.p /= total;
  };
  const auto keep_mass = [&](double p, auto better) {
    std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
      return better(a, b) || (!better(b, a) && a.id < b.id);
    });
    double kept = 0;
    std::size_t n = 0;
    while (n < entries.size() && (n == 0 || kept < p)) kept += entries[n++].p;
    entries.resize(n);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.id < b.id; });
  };
  const auto by_p = [](const Entry& a, const Entry& b) { return a.logit > b.logit; };
  const auto by_p_then_id = [](const Entry& a, const Entry& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  if (options.top_k > 0 && options.top_k < entries.size()) {
    std::sort(entries.begin(), entries.end(), by_p_then_id);
    entries.resize(options.top_k);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.id < b.id; });
  }
  normalise();
  if (options.typical_p < 1) {
    double entropy = 0;
    for (const Entry& e : entries) entropy -= e.p > 0 ? e.p * std::log(e.p) : 0;
    keep_mass(static_cast<double>(options.typical_p), [&](const Entry& a, const Entry& b) {
      return std::abs(-std::log(a.p) - entropy) < std::abs(-std::log(b.p) - entropy);
    });
    normalise();
  }
  if (options.top_p < 1) {
    keep_mass(static_cast<double>(options.top_p), by_p);
    normalise();
  }
  if (options.min_p > 0) {
    double max = 0;
    for (const Entry& e : entries) max = std::max(max, e.p);
    std::erase_if(entries,
                  [&](const Entry& e) { return e.p < static_cast<double>(options.min_p) * max; });
    normalise();
  }
  std::map<TokenId, double> result;
  for (const Entry& e : entries) result[e.id] = e.p;
  return result;
}

TEST(Random, IsUniformAndDependsOnSeedAndIndexAlone) {
  EXPECT_EQ(uniform01(5, 9), uniform01(5, 9));
  int counts[16] = {};
  std::set<double> distinct;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    for (std::uint64_t i = 0; i < 256; ++i) {
      const double u = uniform01(seed, i);
      ASSERT_GE(u, 0.0);
      ASSERT_LT(u, 1.0);
      ++counts[static_cast<int>(u * 16)];
      distinct.insert(u);
    }
  }
  EXPECT_EQ(distinct.size(), 64U * 256U);
  double chi_squared = 0;
  for (const int n : counts) chi_squared += (n - 1024.0) * (n - 1024.0) / 1024.0;
  EXPECT_LT(chi_squared, 37.7);  // 15 degrees of freedom, p = 0.001.
}

TEST(LogitStats, MatchADoubleReference) {
  for (const std::size_t n : {1U, 2U, 7U, 8U, 9U, 511U, 512U, 513U, 5000U, 151936U}) {
    const std::vector<float> logits = random_logits(n, static_cast<unsigned>(n));
    double max = -1e300, z = 0, shifted = 0;
    for (const float x : logits) max = std::max(max, static_cast<double>(x));
    for (const float x : logits) {
      const double d = static_cast<double>(x) - max;
      z += std::exp(d);
      shifted += d * std::exp(d);
    }
    const LogitStats stats = measure_logits(logits).value();
    EXPECT_EQ(static_cast<double>(stats.max), max);
    EXPECT_NEAR(static_cast<double>(stats.log_z), max + std::log(z), 4e-6) << n;
    EXPECT_NEAR(static_cast<double>(stats.entropy), std::log(z) - shifted / z, 2e-5) << n;
  }
}

TEST(LogitStats, BannedTokensWeighNothingAndNonsenseIsAnError) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const LogitStats stats = measure_logits(std::vector<float>{-kInf, 0.0F, 0.0F}).value();
  EXPECT_NEAR(stats.entropy, std::log(2.0F), 1e-6F);
  EXPECT_FALSE(measure_logits(std::vector<float>{1.0F, NAN, 2.0F}));
  EXPECT_FALSE(measure_logits(std::vector<float>{-kInf, -kInf}));
  EXPECT_FALSE(measure_logits(std::vector<float>{1.0F, kInf}));
  std::vector<float> last_is_nan(1000, 1.0F);
  last_is_nan.back() = NAN;
  EXPECT_FALSE(measure_logits(last_is_nan));
}

TEST(SelectTop, EqualsASortWithTiesByLowerId) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> logits(1 + random() % 300);
    for (float& x : logits) x = static_cast<float>(random() % 20);
    const auto k = static_cast<std::uint32_t>(random() % 40);
    std::vector<TokenId> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    const auto logit = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
    std::sort(ids.begin(), ids.end(), [&](TokenId a, TokenId b) {
      return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
    });
    std::vector<ScoredToken> top;
    select_top(logits, k, top);
    ASSERT_EQ(top.size(), std::min<std::size_t>(k, logits.size()));
    for (std::size_t i = 0; i < top.size(); ++i) ASSERT_EQ(top[i].id, ids[i]);
  }
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowerIdOfEquals) {
  std::vector<float> logits = {1.0F, 3.0F, 3.0F, 2.0F};
  SamplerScratch scratch;
  SamplingOptions options;
  options.temperature = 0;
  EXPECT_EQ(Sampler(options).choose(logits, 0, scratch), 1);
  options.logit_bias = {{3, 1.5F}};
  EXPECT_EQ(Sampler(options).choose(logits, 0, scratch), 3);
  EXPECT_EQ(logits, (std::vector<float>{1.0F, 3.0F, 3.0F, 2.0F})) << "changes are undone";
}

TEST(Sampler, PenaltiesLookBackOnTheirWindow) {
  SamplerScratch scratch;
  SamplingOptions options;
  options.temperature = 0;
  options.penalty_window_tokens = 2;
  options.presence_penalty = 2.0F;
  Sampler sampler(options);
  std::vector<float> logits = {5.0F, 4.5F, 4.0F, 1.0F};
  const int expected[] = {0, 1, 2, 0, 1, 2};  // Each comes back when it leaves the window.
  for (std::uint64_t i = 0; i < 6; ++i) {
    const TokenId id = sampler.choose(logits, i, scratch);
    EXPECT_EQ(id, expected[i]) << i;
    sampler.accept(id);
  }
}

TEST(Sampler, PenaltiesFollowTheirFormulas) {
  SamplerScratch scratch;
  SamplingOptions options;
  options.temperature = 0;
  options.repetition_penalty = 2.0F;
  Sampler sampler(options);
  sampler.accept(0);
  sampler.accept(1);
  std::vector<float> logits = {4.0F, -1.0F, 1.9F, -1.5F};
  EXPECT_EQ(sampler.choose(logits, 0, scratch), 0) << "4 / 2 is above 1.9";
  logits[2] = 2.1F;
  EXPECT_EQ(sampler.choose(logits, 0, scratch), 2);
  logits = {-9.0F, -1.0F, -9.0F, -1.9F};
  EXPECT_EQ(sampler.choose(logits, 0, scratch), 3) << "-1 * 2 is under -1.9";

  options.repetition_penalty = 1.0F;
  options.frequency_penalty = 0.6F;
  Sampler counting(options);
  for (int i = 0; i < 2; ++i) counting.accept(0);
  logits = {4.0F, 2.9F};
  EXPECT_EQ(counting.choose(logits, 0, scratch), 1) << "4 - 2 * 0.6 is under 2.9";
}

struct Case {
  const char* name;
  SamplingOptions options;
};

std::vector<Case> stage_cases() {
  std::vector<Case> cases;
  const auto add = [&](const char* name, auto change) {
    cases.push_back({name, {}});
    change(cases.back().options);
  };
  using O = SamplingOptions;
  add("neutral", [](O&) {});
  add("hot", [](O& o) { o.temperature = 1.7F; });
  add("top_k", [](O& o) { o.top_k = 5; });
  add("top_k of more than all", [](O& o) { o.top_k = 100000; });
  add("top_p", [](O& o) { o.top_p = 0.8F; });
  add("top_p of nothing", [](O& o) { o.top_p = 0.0F; });
  add("min_p", [](O& o) { o.min_p = 0.1F; });
  add("typical", [](O& o) { o.typical_p = 0.5F; });
  add("bias", [](O& o) { o.logit_bias = {{3, 4.0F}, {5, -100.0F}}; });
  add("all", [](O& o) {
    o.temperature = 1.3F, o.top_k = 40, o.typical_p = 0.95F, o.top_p = 0.9F, o.min_p = 0.02F;
  });
  add("typical and min_p", [](O& o) { o.typical_p = 0.7F, o.min_p = 0.3F; });
  return cases;
}

// Draws many times; the ids that appear are those that the reference keeps, as often as it says.
TEST(Sampler, StagesEqualTheReferenceDistribution) {
  for (const Case& c : stage_cases()) {
    for (const unsigned logits_seed : {1U, 2U}) {
      std::vector<float> logits = random_logits(600, logits_seed, 2.0F);
      const auto expected = reference_distribution(logits, c.options);
      std::map<TokenId, int> counts;
      SamplerScratch scratch;
      const int n_draws = 4000;
      for (int i = 0; i < n_draws; ++i) {
        ++counts[Sampler(c.options).choose(logits, static_cast<std::uint64_t>(i), scratch)];
      }
      double distance = 0;  // Total variation.
      for (const auto& [id, p] : expected) distance += std::abs(p - counts[id] / double(n_draws));
      for (const auto& [id, n] : counts) {
        EXPECT_TRUE(n == 0 || expected.contains(id)) << c.name << " drew " << id;
      }
      // Noise of the draws grows with the number of ids.
      EXPECT_LT(distance / 2, 0.5 * std::sqrt(double(expected.size()) / n_draws) + 0.005) << c.name;
      for (const auto& [id, p] : expected) {
        if (p > 20.0 / n_draws) {
          EXPECT_GT(counts[id], 0) << c.name << " never drew " << id;
        }
      }
    }
  }
}

TEST(Sampler, LargeVocabularyKeepsWhatTheReferenceKeeps) {
  std::vector<float> logits = random_logits(151936, 9, 3.0F);
  for (const Case& c : stage_cases()) {
    const auto expected = reference_distribution(logits, c.options);
    SamplerScratch scratch;
    for (std::uint64_t i = 0; i < 24; ++i) {
      const TokenId id = Sampler(c.options).choose(logits, i, scratch);
      ASSERT_TRUE(expected.contains(id)) << c.name << " drew " << id;
    }
  }
}

TEST(Sampler, SameSeedSameDrawsOtherSeedOthers) {
  std::vector<float> logits(64, 0.0F);
  SamplerScratch scratch;
  const auto draws = [&](std::uint64_t seed) {
    SamplingOptions options;
    options.seed = seed;
    std::vector<TokenId> ids;
    for (std::uint64_t i = 0; i < 32; ++i) ids.push_back(Sampler(options).choose(logits, i, scratch));
    return ids;
  };
  EXPECT_EQ(draws(1), draws(1));
  EXPECT_NE(draws(1), draws(2));
}

TEST(Sampler, AlmostNoTemperatureIsGreedy) {
  std::vector<float> logits = random_logits(1000, 4);
  SamplerScratch scratch;
  SamplingOptions greedy, cold;
  greedy.temperature = 0;
  cold.temperature = 1e-6F;
  EXPECT_EQ(Sampler(cold).choose(logits, 0, scratch), Sampler(greedy).choose(logits, 0, scratch));
}

TEST(SamplingOptions, ValidateNamesFieldValueAndLimits) {
  const auto message = [](auto change) {
    SamplingOptions options;
    change(options);
    const auto result = options.validate();
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(message([](auto&) {}), "");
  EXPECT_EQ(message([](auto& o) { o.temperature = -0.5F; }),
            "temperature is -0.5: a number from 0 to 100 expected");
  EXPECT_NE(message([](auto& o) { o.temperature = NAN; }), "");
  EXPECT_EQ(message([](auto& o) { o.temperature = 100; }), "");
  EXPECT_NE(message([](auto& o) { o.temperature = 100.5F; }), "");
  EXPECT_NE(message([](auto& o) { o.top_p = 1.01F; }), "");
  EXPECT_EQ(message([](auto& o) { o.top_p = 0; }), "");
  EXPECT_NE(message([](auto& o) { o.min_p = -0.1F; }), "");
  EXPECT_NE(message([](auto& o) { o.typical_p = INFINITY; }), "");
  EXPECT_NE(message([](auto& o) { o.repetition_penalty = 0; }), "");
  EXPECT_EQ(message([](auto& o) { o.penalty_window_tokens = kPenaltyWindowTokensMax; }), "");
  EXPECT_NE(message([](auto& o) { o.penalty_window_tokens = kPenaltyWindowTokensMax + 1; }), "");
  EXPECT_NE(message([](auto& o) { o.logit_bias = {{-1, 0.0F}}; }), "");
  EXPECT_NE(message([](auto& o) { o.logit_bias = {{1, NAN}}; }), "");
  EXPECT_NE(message([](auto& o) { o.logit_bias.resize(kLogitBiasMax + 1); }), "");
}

TEST(ApplyMask, LeavesWhatIsAllowed) {
  for (const std::size_t n : {1U, 63U, 64U, 65U, 130U, 200U}) {
    std::vector<float> logits(n);
    for (std::size_t i = 0; i < n; ++i) logits[i] = static_cast<float>(i) - 50.0F;
    std::vector<std::uint64_t> mask((n + 63) / 64);
    for (std::size_t i = 0; i < n; i += 3) mask[i / 64] |= std::uint64_t{1} << (i % 64);
    std::vector<float> out(n);
    EXPECT_TRUE(apply_mask(logits, mask, out));
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(out[i], i % 3 == 0 ? logits[i] : kNegativeInfinity);
    mask.assign(mask.size(), 0);
    EXPECT_FALSE(apply_mask(logits, mask, out));
  }
  // Logits beyond the vocabulary (padding of the model's matrix) are never allowed.
  const std::vector<float> padded(100, 1.0F);
  std::vector<float> out(100);
  const std::vector<std::uint64_t> mask = {~std::uint64_t{0}};
  EXPECT_TRUE(apply_mask(padded, mask, out));
  EXPECT_EQ(out[63], 1.0F);
  EXPECT_EQ(out[64], kNegativeInfinity);
}

TEST(Sampler, ChoosesOnlyWhatAMaskLeaves) {
  std::mt19937 random(5);
  std::vector<float> logits(500), masked(500);
  std::vector<std::uint64_t> mask(8);
  for (float& logit : logits) logit = static_cast<float>(random() % 1000) / 100.0F;
  for (const TokenId id : {7, 130, 499}) {
    mask[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
    logits[static_cast<std::size_t>(id)] = -60.0F - static_cast<float>(id) / 100.0F;  // Far below all others.
  }
  ASSERT_TRUE(apply_mask(logits, mask, masked));
  SamplerScratch scratch;
  std::vector<SamplingOptions> all(6);
  all[1].temperature = 0;
  all[2].top_k = 100;
  all[3].top_p = 0.9F;
  all[4].min_p = 0.05F;
  all[5].typical_p = 0.9F;
  for (SamplingOptions& options : all) {
    options.repetition_penalty = 1.3F;
    options.logit_bias = {{8, 100.0F}};
    Sampler sampler(options);
    for (std::uint64_t i = 0; i < 50; ++i) {
      const TokenId id = sampler.choose(masked, i, scratch);
      EXPECT_TRUE(id == 7 || id == 130 || id == 499) << id;
      sampler.accept(id);
    }
  }
}

}  // namespace
}  // namespace hearth::engine

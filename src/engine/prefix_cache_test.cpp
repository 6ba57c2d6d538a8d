#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "engine/fake_runner.h"
#include "engine/session_pages.h"

namespace hearth::engine {
namespace {

constexpr std::uint32_t kPageTokens = model::kPageTokens;
// 8 KiB a page.
const PrefixKey kKey{1, {1, 1, 64, model::KvType::kF16}};

std::vector<TokenId> counting(std::uint32_t n, TokenId from = 100) {
  std::vector<TokenId> tokens(n);
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<KvPagePool> pool = [] {
    KvPagePoolOptions options;
    options.bytes_max = kUnitBytesMin;  // 32 pages of 8 KiB.
    options.unit_bytes = kUnitBytesMin;
    return std::move(KvPagePool::create(options)).value();
  }();
  PrefixCache cache{*pool};

  // As a session does: opens, computes all, publishes, closes.  Returns what was known.
  std::uint32_t serve(const std::vector<TokenId>& tokens, const PrefixKey& key = kKey,
                      const AdapterMix& adapters = {}) {
    SessionPages pages(*pool, &cache, key, adapters);
    const std::uint32_t n_known = pages.open(tokens, 0).value();
    pages.publish(tokens, static_cast<std::uint32_t>(tokens.size()));
    pages.close(tokens, static_cast<std::uint32_t>(tokens.size()));
    return n_known;
  }
};

TEST_F(PrefixCacheTest, RemembersWholePagesAndTheTail) {
  EXPECT_EQ(serve(counting(100)), 0U);
  EXPECT_EQ(cache.pages_cached(), 4U);
  EXPECT_EQ(pool->pages_used(), 4U);
  // All but the last token, whose logits are needed.
  EXPECT_EQ(serve(counting(100)), 99U);
  EXPECT_EQ(cache.pages_cached(), 4U) << "the same tokens are stored once";
  EXPECT_EQ(serve(counting(130)), 100U);
  EXPECT_EQ(serve(counting(96)), 95U);
  EXPECT_EQ(serve(counting(64)), 63U);
  EXPECT_EQ(serve(counting(65)), 64U);
  EXPECT_EQ(serve(counting(1)), 0U);
}

TEST_F(PrefixCacheTest, UsesTheCommonPartOfADivergingPage) {
  serve(counting(64));
  std::vector<TokenId> other = counting(64);
  other[40] = 7;
  EXPECT_EQ(serve(other), 40U);
  EXPECT_EQ(cache.pages_cached(), 3U) << "the first page is shared, the second exists twice";
}

TEST_F(PrefixCacheTest, KeysKeepModelsAndLayoutsApart) {
  serve(counting(64));
  PrefixKey other_model = kKey, other_layout = kKey;
  other_model.model_identity = 2;
  other_layout.layout.n_kv_heads = 2;
  other_layout.layout.head_dim = 32;  // The same bytes, in another order.
  for (const PrefixKey& key : {other_model, other_layout}) {
    EXPECT_EQ(serve(counting(64), key), 0U);
  }
  EXPECT_EQ(serve(counting(64)), 63U);
}

AdapterMix mix_of(std::initializer_list<AdapterChoice> choices,
                  const std::vector<TokenId>& prompt = counting(100)) {
  return {std::span(choices.begin(), choices.size()), prompt};
}

TEST_F(PrefixCacheTest, KeepsAdaptersAndTheirWeightsApart) {
  const auto a = std::make_shared<FakeAdapter>(1), b = std::make_shared<FakeAdapter>(2);
  serve(counting(64));
  for (const AdapterMix& mix :
       {mix_of({{a}}), mix_of({{b}}), mix_of({{a, 0.5F}}), mix_of({{a}, {b}}),
        mix_of({{a, 0.5F}, {b, 0.25F}}), mix_of({{a, 0.25F}, {b, 0.5F}})}) {
    EXPECT_EQ(serve(counting(64), kKey, mix), 0U);
    EXPECT_EQ(serve(counting(64), kKey, mix), 63U);
  }
  EXPECT_EQ(serve(counting(64)), 63U);
  EXPECT_EQ(serve(counting(64), kKey, mix_of({{b}, {a}})), 63U) << "in whatever order they are named";
  EXPECT_EQ(serve(counting(64), kKey, mix_of({{a, 0.0F}})), 63U) << "without weight it is the base";
}

// What comes before the invocation is the base's, to the token; what follows is the adapter's alone.
TEST_F(PrefixCacheTest, SharesWithTheBaseUpToTheInvocation) {
  const std::vector<TokenId> invocation = {170, 171};  // At position 70 of counting().
  const auto a = std::make_shared<FakeAdapter>(1, invocation);
  const auto b = std::make_shared<FakeAdapter>(2, invocation);
  EXPECT_EQ(serve(counting(100)), 0U);
  EXPECT_EQ(serve(counting(100), kKey, mix_of({{a}})), 70U);
  EXPECT_EQ(serve(counting(100), kKey, mix_of({{a}})), 99U);
  EXPECT_EQ(serve(counting(100), kKey, mix_of({{b}})), 70U);
  EXPECT_EQ(serve(counting(120), kKey, mix_of({{a}}, counting(120))), 100U);
  EXPECT_EQ(serve(counting(120)), 100U) << "the base's own";
  EXPECT_EQ(serve(counting(60), kKey, mix_of({{a}}, counting(60))), 59U) << "never invoked";
}

// And the other way: what an adapter's session computed before its invocation serves the base.
TEST_F(PrefixCacheTest, TheBaseFindsWhatAnActivatedAdapterLeftBeforeItsInvocation) {
  const auto a = std::make_shared<FakeAdapter>(1, std::vector<TokenId>{170, 171});
  EXPECT_EQ(serve(counting(100), kKey, mix_of({{a}})), 0U);
  EXPECT_EQ(serve(counting(100)), 64U);
}

// In the next turn the adapter is invoked later: what it had computed between is not the base's.
TEST_F(PrefixCacheTest, ALaterInvocationMeansOtherKeysBefore) {
  const auto a = std::make_shared<FakeAdapter>(1, std::vector<TokenId>{7, 8});
  std::vector<TokenId> first = counting(100);
  first[40] = 7, first[41] = 8;
  EXPECT_EQ(serve(first, kKey, mix_of({{a}}, first)), 0U);
  std::vector<TokenId> second = first;
  second.push_back(7);
  second.push_back(8);
  EXPECT_EQ(serve(second, kKey, mix_of({{a}}, second)), 32U);
}

TEST_F(PrefixCacheTest, DropsTheLeastRecentlyUsedLeavesFirst) {
  serve(counting(10 * kPageTokens, 0));     // a
  serve(counting(10 * kPageTokens, 1000));  // b
  serve(counting(10 * kPageTokens, 0));     // a again
  EXPECT_EQ(cache.pages_cached(), 20U);
  serve(counting(15 * kPageTokens, 2000));  // Takes the 12 free ones and 3 of b.
  EXPECT_EQ(serve(counting(10 * kPageTokens, 0)), 10 * kPageTokens - 1);
  // One more went for the copy that recomputing a's last token took.
  EXPECT_EQ(serve(counting(10 * kPageTokens, 1000)), 6 * kPageTokens) << "b lost its end";
}

TEST_F(PrefixCacheTest, PinnedPagesAreNeverDropped) {
  const auto tokens = counting(8 * kPageTokens);
  serve(tokens);
  SessionPages reader(*pool, &cache, kKey);
  ASSERT_EQ(reader.open(counting(8 * kPageTokens + 1), 0).value(), 8 * kPageTokens);
  while (cache.evict_one()) {
  }
  EXPECT_EQ(pool->pages_used(), 9U);
  EXPECT_EQ(serve(tokens), 8 * kPageTokens - 1);
  reader.close(tokens, 8 * kPageTokens);
}

TEST_F(PrefixCacheTest, OpenIsAllOrNone) {
  SessionPages big(*pool, &cache, kKey);
  const auto tokens = counting(20 * kPageTokens);
  ASSERT_TRUE(big.open(tokens, 0));
  SessionPages other(*pool, &cache, kKey);
  EXPECT_EQ(other.open(counting(13 * kPageTokens, 5000), 0).error().code, Code::kOutOfBudget);
  EXPECT_EQ(pool->pages_used(), 20U);
  EXPECT_EQ(other.open(counting(12 * kPageTokens, 5000), 1).error().code, Code::kOutOfBudget);
  EXPECT_TRUE(other.open(counting(12 * kPageTokens, 5000), 0));
  other.close({}, 0);
  big.close(tokens, 0);
  EXPECT_EQ(pool->pages_used(), 0U);
}

TEST_F(PrefixCacheTest, SecondPublisherTakesTheFirstOnesPage) {
  const auto tokens = counting(33);
  SessionPages first(*pool, &cache, kKey), second(*pool, &cache, kKey);
  ASSERT_EQ(first.open(tokens, 0).value(), 0U);
  ASSERT_EQ(second.open(tokens, 0).value(), 0U);
  EXPECT_EQ(pool->pages_used(), 4U);
  first.publish(tokens, 32);
  EXPECT_EQ(second.adopt(tokens, 5), 32U);
  EXPECT_EQ(pool->pages_used(), 3U);
  second.publish(tokens, 32);
  EXPECT_EQ(first.addresses()[0], second.addresses()[0]);
  EXPECT_NE(first.addresses()[1], second.addresses()[1]);
  first.close(tokens, 33);
  second.close(tokens, 33);
  EXPECT_EQ(pool->pages_used(), 2U);
}

TEST_F(PrefixCacheTest, WriterOfASharedTailGetsItsOwnCopy) {
  serve(counting(40));
  SessionPages a(*pool, &cache, kKey), b(*pool, &cache, kKey);
  ASSERT_EQ(a.open(counting(50), 0).value(), 40U);
  ASSERT_EQ(b.open(counting(50), 0).value(), 40U);
  EXPECT_EQ(a.addresses()[0], b.addresses()[0]);
  EXPECT_NE(a.addresses()[1], b.addresses()[1]);
  a.close({}, 0);
  b.close({}, 0);
}

TEST_F(PrefixCacheTest, GivesBackEveryPageOnEveryFailure) {
  for (std::uint64_t n = 1;; ++n) {
    SessionPages pages(*pool, &cache, kKey);
    const auto tokens = counting(100);
    pool->fail_nth_page(n);
    const auto opened = pages.open(tokens, 0);
    if (!opened) {
      EXPECT_EQ(pool->pages_used(), cache.pages_cached());
      continue;
    }
    EXPECT_EQ(n, 5U);
    pool->fail_nth_page(1);
    EXPECT_EQ(pages.grow(200).error().code, Code::kOutOfBudget);
    EXPECT_EQ(pages.n_pages(), 4U);
    pages.close(tokens, 100);
    break;
  }
  while (cache.evict_one()) {
  }
  EXPECT_EQ(pool->pages_used(), 0U);
}

// Against a reference that remembers every sequence: with room for all, what is found is exactly the
// longest common prefix with any of them.
TEST_F(PrefixCacheTest, FindsTheLongestCommonPrefixOfAll) {
  KvPagePoolOptions options;
  options.bytes_max = 256 * kUnitBytesMin;
  options.unit_bytes = kUnitBytesMin;
  const auto large = std::move(KvPagePool::create(options)).value();
  PrefixCache tree(*large);
  std::vector<std::vector<TokenId>> seen;
  std::mt19937 random(3);
  for (int i = 0; i < 400; ++i) {
    std::vector<TokenId> tokens;
    if (!seen.empty()) {
      tokens = seen[random() % seen.size()];
      tokens.resize(random() % (tokens.size() + 1));
    }
    const std::size_t n_more = 1 + random() % 80;
    for (std::size_t j = 0; j < n_more; ++j) tokens.push_back(static_cast<TokenId>(random() % 3));
    std::size_t longest = 0;
    for (const auto& other : seen) {
      const auto end = std::mismatch(tokens.begin(), tokens.end() - 1, other.begin(), other.end());
      longest = std::max(longest, static_cast<std::size_t>(end.first - tokens.begin()));
    }
    SessionPages pages(*large, &tree, kKey);
    ASSERT_EQ(pages.open(tokens, 0).value(), longest) << i;
    pages.publish(tokens, static_cast<std::uint32_t>(tokens.size()));
    pages.close(tokens, static_cast<std::uint32_t>(tokens.size()));
    ASSERT_EQ(large->pages_used(), tree.pages_cached());
    seen.push_back(tokens);
  }
}

}  // namespace
}  // namespace hearth::engine

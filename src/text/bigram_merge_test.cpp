// The two merge loops against each other on random words and random merges: the scanning one is
// short enough to trust, the heap is the one that needs a twin.
#include "text/bigram_merge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace hearth::text {
namespace {

// Random merges over a small alphabet of ids; ranks are often equal, as SentencePiece scores are.
class RandomMerges {
 public:
  RandomMerges(std::mt19937& random, std::int32_t n_ids, std::uint32_t n_ranks) {
    std::uniform_int_distribution<std::int32_t> id(0, n_ids - 1);
    std::uniform_int_distribution<std::uint32_t> rank(0, n_ranks - 1);
    for (std::int32_t i = 0; i < n_ids * 3; ++i)
      merges_[{id(random), id(random)}] = {rank(random), id(random)};
  }
  Bigram operator()(const Symbol& left, const Symbol& right) const {
    const auto found = merges_.find({left.id, right.id});
    return found == merges_.end() ? Bigram{kNoRank, -1} : found->second;
  }

 private:
  std::map<std::pair<std::int32_t, std::int32_t>, Bigram> merges_;
};

std::vector<Symbol> random_word(std::mt19937& random, std::size_t length, std::int32_t n_ids) {
  std::vector<Symbol> symbols;
  for (std::uint32_t i = 0; i < length; ++i) {
    symbols.push_back({i, 1, static_cast<std::int32_t>(random() % static_cast<unsigned>(n_ids))});
  }
  return symbols;
}

TEST(BigramMerge, HeapEqualsScan) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::int32_t n_ids = 2 + round % 9;
    const RandomMerges merges(random, n_ids, 1U + static_cast<std::uint32_t>(round) % 7U);
    MergeScratch by_scan, by_heap;
    by_scan.symbols = by_heap.symbols = random_word(random, 1 + random() % 100, n_ids);
    merge_by_scan(by_scan, merges);
    merge_by_heap(by_heap, merges);

    ASSERT_EQ(by_scan.symbols.size(), by_heap.symbols.size()) << "round " << round;
    for (std::size_t i = 0; i < by_scan.symbols.size(); ++i) {
      EXPECT_EQ(by_scan.symbols[i].id, by_heap.symbols[i].id);
      EXPECT_EQ(by_scan.symbols[i].begin, by_heap.symbols[i].begin);
      EXPECT_EQ(by_scan.symbols[i].length, by_heap.symbols[i].length);
    }
  }
}

TEST(BigramMerge, BothSidesOfTheScanLimitAgree) {
  const auto merge_pairs = [](const Symbol& left, const Symbol& right) {
    return left.id == 0 && right.id == 0 ? Bigram{0, 1} : Bigram{kNoRank, -1};
  };
  for (const std::size_t n : {kScanSymbolsMax - 1, kScanSymbolsMax, kScanSymbolsMax + 1}) {
    MergeScratch scratch;
    for (std::uint32_t i = 0; i < n; ++i) scratch.symbols.push_back({i, 1, 0});
    merge_symbols(scratch, merge_pairs);
    EXPECT_EQ(scratch.symbols.size(), (n + 1) / 2);
    EXPECT_EQ(scratch.symbols.front().length, 2U);  // Of equal ranks the leftmost goes first.
    EXPECT_EQ(scratch.symbols.back().length, 2 - n % 2);
  }
}

TEST(BigramMerge, EmptyAndSingleWordsStay) {
  const auto never = [](const Symbol&, const Symbol&) { return Bigram{kNoRank, -1}; };
  MergeScratch scratch;
  merge_by_scan(scratch, never);
  merge_by_heap(scratch, never);
  EXPECT_TRUE(scratch.symbols.empty());
  scratch.symbols = {{0, 1, 7}};
  merge_by_heap(scratch, never);
  EXPECT_EQ(scratch.symbols.size(), 1U);
}

}  // namespace
}  // namespace hearth::text

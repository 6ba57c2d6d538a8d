// The merge loop that both tokenizer families share.
//
// A word starts as a list of symbols (bytes or characters).  While some pair of neighbours
// can be merged, the pair of the best (lowest) rank is, and of equal ranks the leftmost.  The
// families differ only in what ranks a pair: byte-level BPE by the position of the merge
// in its list, SentencePiece by the score of the token that the two make.
//
// Two implementations with one result (bigram_merge_test.cpp): short words, which nearly all are,
// scan a flat array of ranks for the minimum at each step; long ones keep the candidates in a
// heap, so that a megabyte of one letter costs O(n log n).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace hearth::text {

// A part of a word.  `id` is the token it is, or negative while it is none (the family's business).
struct Symbol {
  std::uint32_t begin;   // Bytes from the start of the word.
  std::uint32_t length;  // Bytes; 0 once merged into its left neighbour.
  std::int32_t id;
};

inline constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();

// What merging two neighbours would give; kNoRank if they don't merge.
struct Bigram {
  std::uint32_t rank;
  std::int32_t id;
};

// Words of at most this many symbols take the scanning loop.  On mixed text in many scripts, 16, 64
// and 256 were equally fast and 4 up to 15 % slower; far above, the quadratic loop would show.
inline constexpr std::size_t kScanSymbolsMax = 32;

// Buffers of the loops below, kept from word to word so that they allocate once.
struct MergeScratch {
  // One candidate of the heap.  It is stale once the two symbols together no longer have
  // `length` bytes.
  struct Candidate {
    std::uint32_t rank, left, right, length;
    std::int32_t id;
  };
  std::vector<Symbol> symbols;
  std::vector<Bigram> bigrams;
  std::vector<Candidate> heap;
  std::vector<std::uint32_t> previous, next;
};

// Merges scratch.symbols in place by scanning.  `rank_pair(left, right)` returns a Bigram.
template <class RankPair>
void merge_by_scan(MergeScratch& scratch, RankPair&& rank_pair) {
  auto& symbols = scratch.symbols;
  auto& bigrams = scratch.bigrams;  // bigrams[i] joins symbols i and i + 1.
  bigrams.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    bigrams.push_back(rank_pair(symbols[i], symbols[i + 1]));
  }
  while (!bigrams.empty()) {
    const auto best = std::ranges::min_element(bigrams, {}, &Bigram::rank);
    if (best->rank == kNoRank) return;
    const auto i = static_cast<std::size_t>(best - bigrams.begin());
    symbols[i].length += symbols[i + 1].length;
    symbols[i].id = best->id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    bigrams.erase(best);
    if (i > 0) bigrams[i - 1] = rank_pair(symbols[i - 1], symbols[i]);
    if (i < bigrams.size()) bigrams[i] = rank_pair(symbols[i], symbols[i + 1]);
  }
}

// The same with a heap.
template <class RankPair>
void merge_by_heap(MergeScratch& scratch, RankPair&& rank_pair) {
  constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  auto& [symbols, bigrams, heap, previous, next] = scratch;
  const auto count = static_cast<std::uint32_t>(symbols.size());
  const auto worse = [](const auto& a, const auto& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  };
  // Adds the pair to the heap's array if it merges; the caller keeps the heap order.
  const auto add = [&](std::uint32_t left, std::uint32_t right) {
    const Bigram bigram = rank_pair(symbols[left], symbols[right]);
    if (bigram.rank == kNoRank) return false;
    const std::uint32_t length = symbols[left].length + symbols[right].length;
    heap.push_back({bigram.rank, left, right, length, bigram.id});
    return true;
  };
  const auto push = [&](std::uint32_t left, std::uint32_t right) {
    if (left == kNone || right == kNone) return;
    if (add(left, right)) std::push_heap(heap.begin(), heap.end(), worse);
  };

  previous.resize(count);
  next.resize(count);
  heap.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == count ? kNone : i + 1;
    if (i > 0) (void)add(i - 1, i);
  }
  std::make_heap(heap.begin(), heap.end(), worse);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    const auto best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[best.left];
    Symbol& right = symbols[best.right];
    if (left.length == 0 || right.length == 0 || left.length + right.length != best.length)
      continue;

    left.length = best.length;
    left.id = best.id;
    right.length = 0;
    next[best.left] = next[best.right];
    if (next[best.left] != kNone) previous[next[best.left]] = best.left;
    push(previous[best.left], best.left);
    push(best.left, next[best.left]);
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.length == 0; });
}

template <class RankPair>
void merge_symbols(MergeScratch& scratch, RankPair&& rank_pair) {
  if (scratch.symbols.size() <= kScanSymbolsMax) {
    merge_by_scan(scratch, rank_pair);
  } else {
    merge_by_heap(scratch, rank_pair);
  }
}

}  // namespace hearth::text

// A grammar held against a vocabulary: which tokens may come next.
//
// The mask over 150,000 tokens must cost next to nothing beside a forward pass.  Three
// things make it so:
//
// * Whether a token fits mostly depends on the top frame of a stack alone (the state of one
//   rule), not on what lies below.  Such tokens are found once per top frame, by one walk
//   over the vocabulary's trie, and kept.  The others, those that end the rule and go on
//   (`"}` after a string), are few; they are tried against the whole stack.
// * Inside of a counted loop the counter belongs to the top; all counters that are further
//   from both bounds than the longest token share one entry.
// * A step is one look-up (stacks.h), and everything found is shared by all answers with
//   the same grammar and model.
//
// This split is the idea of XGrammar (Dong et al., 2024).
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "base/result.h"
#include "text/grammar/grammar.h"
#include "text/grammar/lexicon.h"

namespace hearth::text::grammar {

// What one constraint remembers; beyond it starts anew.
inline constexpr std::size_t kCacheBytesMax = std::size_t{24} << 20;
// Frames that one mask may visit: some tenths of a second, which only a hostile grammar needs.
inline constexpr std::uint64_t kVisitsPerMaskMax = 4'000'000;

class MaskCache;

// Threading: any thread; shared by all answers with the same grammar and vocabulary.
class Constraint {
 public:
  Constraint(GrammarPtr grammar, std::shared_ptr<const Lexicon> lexicon,
             std::size_t cache_bytes_max = kCacheBytesMax);
  ~Constraint();

  const Grammar& grammar() const { return *grammar_; }
  const Lexicon& lexicon() const { return *lexicon_; }

 private:
  friend class Matcher;
  std::shared_ptr<MaskCache> current(const std::shared_ptr<MaskCache>& old);

  const GrammarPtr grammar_;
  const std::shared_ptr<const Lexicon> lexicon_;
  const std::size_t cache_bytes_max_;
  std::mutex mutex_;  // Guards all caches of this constraint, also those that it has given up.
  std::shared_ptr<MaskCache> cache_;
};

// Where one answer stands.
//
// Threading: externally synchronised.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<Constraint> constraint);

  std::size_t mask_words() const;
  // Sets bit `id` of `mask` [mask_words()] for each token that may come next, clears all others;
  // end tokens may where the answer may end.  kInvalidArgument if the grammar is too ambiguous or
  // too costly, or if the vocabulary has no token that fits.
  Result<> fill_mask(std::span<std::uint64_t> mask);

  // Takes a token that the last mask allowed, no end token.  kInvalidArgument, and the matcher is
  // spent, if the grammar is too ambiguous to follow it; kInternal if it does not allow the token.
  Result<> accept(TokenId id);

  bool can_end() const;
  // Nothing may follow: the answer is complete.
  bool is_complete() const;

 private:
  std::shared_ptr<Constraint> constraint_;
  std::shared_ptr<MaskCache> cache_;
  std::uint32_t set_;  // In the cache's stacks.
};

}  // namespace hearth::text::grammar

// The grammars that a model was lately asked to keep to, held against its vocabulary.
//
// Clients send the same schema with each request.  Its masks, once found, serve all of them;
// the vocabulary's trie, which takes a tenth of a second, is built at the first of all.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "text/grammar/constraint.h"
#include "text/tokenizer.h"

namespace hearth::text::grammar {

// Least recently used ones go; each holds at most kCacheBytesMax and its automaton.
inline constexpr std::size_t kConstraintsMax = 16;

// Threading: any thread.
class ConstraintCache {
 public:
  // `tokenizer` must outlive it.
  explicit ConstraintCache(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // The constraint of a grammar with this one's key.
  std::shared_ptr<Constraint> get(GrammarPtr grammar);

 private:
  const Tokenizer& tokenizer_;
  std::mutex mutex_;
  std::shared_ptr<const Lexicon> lexicon_;
  std::list<std::shared_ptr<Constraint>> constraints_;  // Most recently used first.
};

}  // namespace hearth::text::grammar

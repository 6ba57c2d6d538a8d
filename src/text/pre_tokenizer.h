// Pre-tokenizers: how a byte-level BPE cuts a text into words before it merges.
//
// GGUF names a pre-tokenizer (`tokenizer.ggml.pre`) but does not carry its patterns, so the known
// ones live in one table in pre_tokenizer.cpp; a new one is one row there.  A pre-tokenizer is a
// list of stages: each cuts every word of the stage before it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/regex_splitter.h"
#include "text/word_matcher.h"

namespace hearth::text {

// How stages are built.  Patterns are the slow twins of the hand-written matchers, for tests.
enum class SplitterKind { kFastest, kPatternsOnly };

// Threading: immutable; any thread may split.
class PreTokenizer {
 public:
  // kUnsupported for an unknown name; the message lists what is known.
  static Result<PreTokenizer> create(std::string_view name,
                                     SplitterKind kind = SplitterKind::kFastest);

  // Replaces `ends` by the ends of the words of `text`; the last is text.size().  A byte of invalid
  // UTF-8 counts as a character that is no letter, number or space.
  void split(std::string_view text, std::vector<std::size_t>& ends) const;

  // Take a word that is a token as that token, without merging.
  bool ignores_merges() const { return ignores_merges_; }
  // What `add_bos_token` is where a file doesn't say.
  bool adds_bos() const { return adds_bos_; }

 private:
  using Stage = std::variant<WordMatcher, RegexSplitter>;
  PreTokenizer() = default;
  std::vector<Stage> stages_;
  bool ignores_merges_ = false;
  bool adds_bos_ = false;
  bool needs_valid_utf8_ = false;
};

// The names of all known pre-tokenizers, aliases included, sorted.
std::vector<std::string_view> known_pre_tokenizers();

}  // namespace hearth::text

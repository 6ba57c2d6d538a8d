// Finds names, places, organisations and addresses in text: what has no check digits.
//
// A linear-chain CRF over hashed features of a token and its neighbours (train.py learns it), with
// weights of eight bits: the score of a token for each tag is the sum of some fifty rows of the table,
// and the best path of tags over a stretch of text is found by Viterbi's algorithm.  All in integers,
// so that every machine finds the same.
//
// Cost: about a microsecond for a token.
//
// Threading: const after creation; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "privacy/span.h"
#include "privacy/tagger/gazetteer.h"
#include "privacy/tagger/tokens.h"

namespace hearth::privacy {

class Tagger {
 public:
  // Of a file that train.py wrote; keeps a view of `bytes`.  kCorrupt says what is wrong.
  static Result<std::unique_ptr<Tagger>> create(std::span<const std::byte> bytes);
  // The one inside of the program, made when it is first asked for.
  static const Tagger& built_in();

  // Appends what it finds, in the order of the text.
  void tag(std::string_view text, Spans& spans) const;

 private:
  static constexpr std::size_t kTagsMax = 32;  // A row of weights is padded to this.
  struct Part {
    std::int8_t attribute = -1;  // -1: none.
    std::int8_t offset = 0;
  };
  struct Feature {
    Part parts[3];
  };

  explicit Tagger(Gazetteer gazetteer) : gazetteer_(gazetteer) {}
  void tag_stretch(std::string_view text, std::size_t begin, std::size_t end, Spans& spans) const;
  void score(std::span<const Token> tokens, std::vector<std::int32_t>& scores) const;
  std::vector<std::uint8_t> best_path(std::span<const std::int32_t> scores, std::size_t n) const;

  Gazetteer gazetteer_;
  std::size_t n_tags_ = 0;
  unsigned bits_ = 0;
  std::vector<std::string_view> types_;  // Of each tag; empty for "O".
  std::vector<bool> is_begin_;
  std::vector<Feature> features_;
  std::vector<std::int32_t> transitions_;  // [n_tags + 1, kTagsMax]; the last row: the first token's.
  std::vector<std::int8_t> weights_;       // [2^bits, kTagsMax].
};

}  // namespace hearth::privacy

// WordPiece (BERT and the sentence encoders that descend from it): GGUF
// `tokenizer.ggml.model` = "bert".
//
// A text becomes words (wordpiece_text.h), and each word the longest token that begins it,
// then the longest that goes on, and so forth; a word that no tokens make up is [UNK] as a
// whole.  GGUF stores tokens that begin a word with U+2581 in front and those that continue
// one bare, where the original vocabulary marks the latter with "##".
//
// Schuster and Nakajima, "Japanese and Korean Voice Search" (2012); longest match as in BERT.
#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "base/utf8_bounds.h"
#include "text/vocab_tokenizer.h"
#include "text/wordpiece_text.h"

namespace hearth::text {
namespace {

constexpr std::string_view kWordMark = "\u2581";
// BERT's own limit; longer words are [UNK].  It also bounds the look-ups per byte.
constexpr std::size_t kWordCharsMax = 100;

std::size_t char_count(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !continues_utf8(c); }));
}

class WordPieceTokenizer final : public VocabTokenizer {
 public:
  WordPieceTokenizer(const VocabTables& tables, std::shared_ptr<const void> owner)
      : VocabTokenizer(tables, std::move(owner)) {}

  std::string piece(TokenId id, bool special) const override;

 protected:
  void append_text(std::string_view text, bool after_special,
                   std::vector<TokenId>& out) const override;

 private:
  void append_word(std::string_view word, std::vector<TokenId>& out) const;
  TokenId unk() const { return tables().facts.unk; }
};

std::string WordPieceTokenizer::piece(TokenId id, bool special) const {
  if (id < 0 || static_cast<std::uint32_t>(id) >= n_vocab()) return {};
  const std::string_view text = token_text(id);
  if (!is_text(type(id)) || id == unk()) return special ? std::string(text) : std::string();
  if (!text.starts_with(kWordMark)) return std::string(text);
  return " " + std::string(text.substr(kWordMark.size()));
}

void WordPieceTokenizer::append_text(std::string_view text, bool /*after_special*/,
                                     std::vector<TokenId>& out) const {
  for (const std::string& word : wordpiece_words(text, tables().facts.is_uncased != 0)) {
    append_word(word, out);
  }
}

void WordPieceTokenizer::append_word(std::string_view word, std::vector<TokenId>& out) const {
  if (char_count(word) > kWordCharsMax) return out.push_back(unk());
  const std::size_t first = out.size();
  const std::string marked = std::string(kWordMark).append(word);
  std::string_view rest = marked;
  while (!rest.empty()) {
    std::size_t length = std::min<std::size_t>(rest.size(), tables().facts.token_bytes_max);
    std::optional<TokenId> id;
    for (; length > 0 && !(id = find_text(rest.substr(0, length))); --length) {
    }
    // A bare mark is no beginning of a word; a marked token inside of one is no continuation.
    const bool is_begun = out.size() > first;
    const bool is_marked = rest.substr(0, length).starts_with(kWordMark);
    if (!id || is_begun == is_marked || (is_marked && length == kWordMark.size())) {
      out.resize(first);
      return out.push_back(unk());
    }
    out.push_back(*id);
    rest.remove_prefix(length);
  }
}

}  // namespace

// Ids that files leave out, under the names that BERT gives them.
Result<> set_wordpiece_defaults(VocabSpec& spec) {
  if (spec.cls) spec.bos = spec.cls;
  if (spec.sep) spec.eos = spec.sep;
  const std::pair<std::optional<TokenId>&, std::string_view> named[] = {
      {spec.bos, "[CLS]"}, {spec.eos, "[SEP]"}, {spec.unk, "[UNK]"}};
  for (const auto& [slot, text] : named) {
    if (slot) continue;
    const auto found = std::ranges::find(spec.tokens, text);
    if (found == spec.tokens.end()) {
      return fail(Code::kCorrupt, "the vocabulary has no token '" + std::string(text) +
                                      "', which a WordPiece vocabulary needs");
    }
    slot = static_cast<TokenId>(found - spec.tokens.begin());
  }
  spec.add_bos = true;
  spec.add_eos = true;
  spec.add_space_prefix = true;  // decode() drops the space of the first word.
  return {};
}

Result<> build_wordpiece(const VocabSpec& spec, VocabDraft& draft) {
  VocabFacts& facts = draft.facts;
  facts.is_uncased = 1;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    if (!draft.types.empty() && !is_text(draft.types[id])) continue;
    std::string_view text = spec.tokens[id];
    facts.token_bytes_max =
        std::max(facts.token_bytes_max, static_cast<std::uint32_t>(text.size()));
    // No file says whether its vocabulary is a cased one, but only those have such words.
    if (!text.starts_with(kWordMark)) continue;
    text.remove_prefix(kWordMark.size());
    if (std::ranges::any_of(text, [](char c) { return c >= 'A' && c <= 'Z'; })) {
      facts.is_uncased = 0;
    }
  }
  return {};
}

TokenizerResult open_wordpiece(const VocabTables& tables, std::shared_ptr<const void> owner) {
  if (tables.facts.unk == kNoToken) {
    return fail(Code::kCorrupt, "the vocabulary's image has no token '[UNK]'");
  }
  return std::make_unique<const WordPieceTokenizer>(tables, std::move(owner));
}

}  // namespace hearth::text

// SentencePiece-style BPE (Llama 2, Phi-3, Mistral, Gemma, and small models with their own
// vocabulary).
//
// Text starts as its characters, with a space written as U+2581 ("▁") and one more in front where
// the vocabulary wants it.  Neighbours whose text together is a token are joined, the highest score
// first; a character that ends up as no token becomes its bytes' tokens.
//
// The method has no words: a merge may cross a space if some token does.  No vocabulary in
// common use has such a token, so whether one does is looked up while building, and if not the
// text is cut before each space: the result is the same, and the words are short and repeat.
//
// Gemma 4 writes text with the same letters, but merges in the order of a list as byte-level BPE
// does, and has words of newlines, which are one token where there is such a one.
//
// Kudo and Richardson, "SentencePiece" (2018); scores and byte fallback as in its BPE models.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "base/utf8.h"
#include "base/utf8_bounds.h"
#include "text/bigram_merge.h"
#include "text/vocab_tokenizer.h"
#include "text/word_cache.h"

namespace hearth::text {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";
constexpr TokenId kNotLookedUp = -2;  // A character that has not merged yet.

// Orders scores from high to low: the best has the lowest rank.  NaN comes last.
std::uint32_t rank_of_score(float score) {
  if (std::isnan(score)) return kNoRank - 1;
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);  // -0 and 0 are equal.
  const std::uint32_t ascending = (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
  return std::min(~ascending, kNoRank - 1);
}

// Whether `token` goes on with a space after something else: "a▁" or "a▁b", but not "▁▁a".
bool crosses_space(std::string_view token) {
  while (token.starts_with(kSpaceMark)) token.remove_prefix(kSpaceMark.size());
  return token.find(kSpaceMark) != std::string_view::npos;
}

std::string with_spaces(std::string_view token) {
  std::string text;
  for (std::size_t pos = 0; pos < token.size();) {
    const std::size_t mark = std::min(token.find(kSpaceMark, pos), token.size());
    text.append(token.substr(pos, mark - pos));
    if (mark < token.size()) text.push_back(' ');
    pos = std::min(mark + kSpaceMark.size(), token.size());
  }
  return text;
}

// The byte that a token like "<0x0A>" stands for.
std::optional<std::uint8_t> byte_of_token(std::string_view token) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = digit(token[3]), low = digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<std::uint8_t>(high * 16 + low);
}

class SpmTokenizer final : public VocabTokenizer {
 public:
  SpmTokenizer(const VocabTables& tables, std::shared_ptr<const void> owner)
      : VocabTokenizer(tables, std::move(owner)) {}

  std::string piece(TokenId id, bool special) const override;

 protected:
  void append_text(std::string_view text, bool after_special,
                   std::vector<TokenId>& out) const override;

 private:
  std::size_t word_end(std::string_view text, std::size_t pos) const;
  void append_marked(std::string_view word, MergeScratch& scratch, std::vector<TokenId>& out) const;
  Bigram rank_text(std::string_view text) const;
  TokenId byte_token(std::uint8_t byte) const;
  bool merges_by_list() const { return tables().facts.family == VocabFamily::kMarkedBpe; }
};

std::string SpmTokenizer::piece(TokenId id, bool special) const {
  if (id < 0 || static_cast<std::uint32_t>(id) >= n_vocab()) return {};
  switch (type(id)) {
    case TokenType::kControl:
    case TokenType::kUnknown:
      return special ? std::string(token_text(id)) : std::string();
    case TokenType::kUserDefined:
      return std::string(token_text(id));
    case TokenType::kByte:
      if (const auto byte = byte_of_token(token_text(id))) return {static_cast<char>(*byte)};
      return {};
    default:
      return with_spaces(token_text(id));
  }
}

void SpmTokenizer::append_text(std::string_view text, bool after_special,
                               std::vector<TokenId>& out) const {
  MergeScratch scratch;
  WordCache cache(text.size());
  std::string marked;
  const auto encode_word = [&](std::string_view word, std::vector<TokenId>& ids) {
    for (const char c : word) {
      if (c == ' ') {
        marked += kSpaceMark;
      } else {
        marked += c;
      }
    }
    append_marked(marked, scratch, ids);
    marked.clear();
  };

  std::size_t pos = 0;
  if (after_special && adds_space_prefix() && !text.empty()) {
    // The first word is not like its equals later on: it has the added space.
    pos = word_end(text, 0);
    marked = kSpaceMark;
    encode_word(text.substr(0, pos), out);
  }
  while (pos < text.size()) {
    const std::size_t end = word_end(text, pos);
    cache.append(text.substr(pos, end - pos), out, encode_word);
    pos = end;
  }
}

// Where the word at `pos` ends: before the next space that follows something else.
std::size_t SpmTokenizer::word_end(std::string_view text, std::size_t pos) const {
  std::size_t cut = utf8_bound_up_to(text, pos + kWordBytesMax);
  if (merges_by_list()) {
    const bool is_newlines = text[pos] == '\n';
    const std::size_t other = is_newlines ? text.find_first_not_of('\n', pos) : text.find('\n', pos);
    cut = std::min(cut, other);
    if (is_newlines) return cut;
  }
  if (tables().facts.cuts_at_spaces == 0) return cut;
  std::size_t end = pos;
  const auto at_mark = [&] { return text.substr(end).starts_with(kSpaceMark); };
  while (end < cut && (text[end] == ' ' || at_mark())) {
    end += text[end] == ' ' ? 1 : kSpaceMark.size();
  }
  while (end < cut && text[end] != ' ' && !at_mark()) ++end;
  return end;
}

// `word` has U+2581 for each space.
void SpmTokenizer::append_marked(std::string_view word, MergeScratch& scratch,
                                 std::vector<TokenId>& out) const {
  const bool by_list = merges_by_list();
  if (by_list && word.starts_with('\n')) {
    if (const auto id = find_text(word)) return out.push_back(*id);
  }
  scratch.symbols.clear();
  for (std::size_t pos = 0; pos < word.size();) {
    const std::uint8_t length = decode_utf8(word.substr(pos)).length;
    const TokenId id =
        by_list ? find_text(word.substr(pos, length)).value_or(kNoToken) : kNotLookedUp;
    scratch.symbols.push_back({static_cast<std::uint32_t>(pos), length, id});
    pos += length;
  }
  merge_symbols(scratch, [&](const Symbol& left, const Symbol& right) {
    if (!by_list) return rank_text(word.substr(left.begin, left.length + right.length));
    if (left.id < 0 || right.id < 0) return Bigram{kNoRank, kNoToken};
    return tables().merges.find(left.id, right.id);
  });

  for (const Symbol& symbol : scratch.symbols) {
    const std::string_view text = word.substr(symbol.begin, symbol.length);
    const TokenId id =
        symbol.id == kNotLookedUp ? find_text(text).value_or(kNoToken) : symbol.id;
    if (id != kNoToken) {
      out.push_back(id);
      continue;
    }
    for (const char byte : text) {
      const TokenId byte_id = byte_token(static_cast<std::uint8_t>(byte));
      if (byte_id != kNoToken) out.push_back(byte_id);
    }
  }
}

// The token that two neighbours make together.
Bigram SpmTokenizer::rank_text(std::string_view text) const {
  if (text.size() > tables().facts.token_bytes_max) return {kNoRank, kNoToken};
  const auto id = find_text(text);
  if (!id) return {kNoRank, kNoToken};
  const auto ranks = tables().ranks;
  return {ranks.empty() ? 0 : ranks[static_cast<std::size_t>(*id)], *id};
}

TokenId SpmTokenizer::byte_token(std::uint8_t byte) const {
  const VocabFacts& facts = tables().facts;
  return facts.byte_ids[byte] != kNoToken ? facts.byte_ids[byte] : facts.unk;
}

}  // namespace

// Ids that files leave out, under the names that SentencePiece gives them.
Result<> set_spm_defaults(VocabSpec& spec) {
  const std::pair<std::optional<TokenId>&, std::string_view> named[] = {
      {spec.bos, "<s>"}, {spec.eos, "</s>"}, {spec.unk, "<unk>"}};
  // They stand at the front of the vocabulary wherever they exist.
  const std::size_t searched = std::min<std::size_t>(spec.tokens.size(), 16);
  for (const auto& [slot, text] : named) {
    for (std::size_t id = 0; id < searched && !slot; ++id) {
      if (spec.tokens[id] == text) slot = static_cast<TokenId>(id);
    }
  }
  if (!spec.add_bos) spec.add_bos = true;
  if (!spec.add_space_prefix) spec.add_space_prefix = true;
  return {};
}

Result<> build_spm(const VocabSpec& spec, VocabDraft& draft) {
  draft.ranks.reserve(spec.scores.size());
  for (const float score : spec.scores) draft.ranks.push_back(rank_of_score(score));

  VocabFacts& facts = draft.facts;
  facts.cuts_at_spaces = 1;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string_view text = spec.tokens[id];
    const TokenType type = draft.types.empty() ? TokenType::kNormal : draft.types[id];
    if (const auto byte = byte_of_token(text); byte && type != TokenType::kControl) {
      facts.byte_ids[*byte] = static_cast<TokenId>(id);
    }
    if (!is_text(type)) continue;
    facts.token_bytes_max =
        std::max(facts.token_bytes_max, static_cast<std::uint32_t>(text.size()));
    if (type != TokenType::kUserDefined && crosses_space(text)) facts.cuts_at_spaces = 0;
  }
  return {};
}

Result<> set_marked_bpe_defaults(VocabSpec& spec) {
  spec.add_bos = true;  // Whatever the file says: the model was never without.
  if (!spec.add_space_prefix) spec.add_space_prefix = false;
  return {};
}

Result<> build_marked_bpe(const VocabSpec& spec, VocabDraft& draft) {
  HEARTH_TRY_VOID(build_spm(spec, draft));
  draft.ranks.clear();
  return build_merges(spec, draft);
}

TokenizerResult open_spm(const VocabTables& tables, std::shared_ptr<const void> owner) {
  return std::make_unique<const SpmTokenizer>(tables, std::move(owner));
}

}  // namespace hearth::text

// Byte-level BPE (GPT-2 and its many descendants).
//
// Text is cut into words by a pre-tokenizer; a word starts as its bytes, each a token; the
// merge list then joins neighbours, best first.  Everything happens on ids: the stored strings,
// which spell bytes in GPT-2's alphabet, are read only while the tables are built.
//
// Radford et al., "Language Models are Unsupervised Multitask Learners" (2019);
// Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/bigram_merge.h"
#include "text/byte_alphabet.h"
#include "text/merge_table.h"
#include "text/pre_tokenizer.h"
#include "text/vocab_tokenizer.h"
#include "text/word_cache.h"

namespace hearth::text {
namespace {

// The ids of one line of the merge list, "left right".
struct Merge {
  TokenId left, right, merged;
};

Result<Merge> parse_merge(const TokenIndex& vocab, std::string_view line, std::string& buffer) {
  // The separator is the first space that is not the first character.
  const std::size_t space = line.find(' ', 1);
  if (space == std::string_view::npos) {
    return fail(Code::kCorrupt, fmt::format("merge '{}' is not two tokens with a space between",
                                            line.substr(0, 100)));
  }
  const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
  buffer.assign(left).append(right);
  const auto left_id = vocab.find(left), right_id = vocab.find(right), merged = vocab.find(buffer);
  if (!left_id || !right_id || !merged) {
    return fail(Code::kCorrupt,
                fmt::format("merge '{}': '{}' is no token of the vocabulary", line.substr(0, 100),
                            !left_id    ? left.substr(0, 100)
                            : !right_id ? right.substr(0, 100)
                                        : std::string_view(buffer).substr(0, 100)));
  }
  return Merge{*left_id, *right_id, *merged};
}

class BpeTokenizer final : public VocabTokenizer {
 public:
  BpeTokenizer(const VocabTables& tables, std::shared_ptr<const void> owner,
               PreTokenizer pre_tokenizer)
      : VocabTokenizer(tables, std::move(owner)), pre_tokenizer_(std::move(pre_tokenizer)) {}

  std::string piece(TokenId id, bool special) const override;

 protected:
  void append_text(std::string_view text, bool after_special,
                   std::vector<TokenId>& out) const override;

 private:
  void append_word(std::string_view word, MergeScratch& scratch, std::vector<TokenId>& out) const;
  std::optional<TokenId> find_word(std::string_view word) const;

  PreTokenizer pre_tokenizer_;
};

std::string BpeTokenizer::piece(TokenId id, bool special) const {
  if (id < 0 || static_cast<std::uint32_t>(id) >= n_vocab()) return {};
  switch (type(id)) {
    case TokenType::kControl:
    case TokenType::kUnknown:
      return special ? std::string(token_text(id)) : std::string();
    case TokenType::kUserDefined:
      return std::string(token_text(id));
    default:
      return letters_to_bytes(token_text(id));
  }
}

void BpeTokenizer::append_text(std::string_view text, bool, std::vector<TokenId>& out) const {
  std::vector<std::size_t> ends;
  pre_tokenizer_.split(text, ends);

  MergeScratch scratch;
  WordCache cache(text.size());
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    for (; begin < end; begin = std::min(end, begin + kWordBytesMax)) {
      const std::string_view word = text.substr(begin, std::min(end - begin, kWordBytesMax));
      cache.append(word, out, [&](std::string_view new_word, std::vector<TokenId>& ids) {
        append_word(new_word, scratch, ids);
      });
    }
  }
}

void BpeTokenizer::append_word(std::string_view word, MergeScratch& scratch,
                               std::vector<TokenId>& out) const {
  if (pre_tokenizer_.ignores_merges()) {
    if (const auto id = find_word(word)) return out.push_back(*id);
  }

  // Bytes that are no token join nothing and fall out at the end.
  scratch.symbols.clear();
  for (std::size_t i = 0; i < word.size(); ++i) {
    const TokenId id = tables().facts.byte_ids[static_cast<unsigned char>(word[i])];
    scratch.symbols.push_back({static_cast<std::uint32_t>(i), 1, id});
  }
  merge_symbols(scratch, [&](const Symbol& left, const Symbol& right) {
    if (left.id < 0 || right.id < 0) return Bigram{kNoRank, kNoToken};
    return tables().merges.find(left.id, right.id);
  });
  for (const Symbol& symbol : scratch.symbols) {
    if (symbol.id >= 0) {
      out.push_back(symbol.id);
    } else if (tables().facts.unk != kNoToken) {
      out.push_back(tables().facts.unk);
    }
  }
}

// The token that `word` is as a whole.
std::optional<TokenId> BpeTokenizer::find_word(std::string_view word) const {
  constexpr std::size_t kTokenBytesMax = 256;  // No vocabulary in use has a longer one.
  if (word.size() > kTokenBytesMax) return std::nullopt;
  std::string letters;
  append_letters(letters, word);
  return find_text(letters);
}

}  // namespace

Result<> set_bpe_defaults(VocabSpec& spec) {
  HEARTH_TRY(const PreTokenizer pre_tokenizer, PreTokenizer::create(spec.pre));
  if (!spec.add_bos) spec.add_bos = pre_tokenizer.adds_bos();
  spec.add_space_prefix = false;  // Only SentencePiece does that.
  return {};
}

Result<> build_bpe(const VocabSpec& spec, VocabDraft& draft) {
  const TokenIndex vocab(draft.texts.view(), draft.index);
  for (unsigned byte = 0; byte < 256; ++byte) {
    draft.facts.byte_ids[byte] =
        vocab.find(byte_to_letter(static_cast<std::uint8_t>(byte))).value_or(kNoToken);
  }
  return build_merges(spec, draft);
}

Result<> build_merges(const VocabSpec& spec, VocabDraft& draft) {
  const TokenIndex vocab(draft.texts.view(), draft.index);
  MergeTableBuilder merges(spec.merges.size());
  std::string buffer;
  for (std::size_t rank = 0; rank < spec.merges.size(); ++rank) {
    HEARTH_TRY(const Merge merge, parse_merge(vocab, spec.merges[rank], buffer));
    merges.add(merge.left, merge.right, {static_cast<std::uint32_t>(rank), merge.merged});
  }
  draft.merges = std::move(merges).take();
  return {};
}

TokenizerResult open_bpe(const VocabTables& tables, std::shared_ptr<const void> owner) {
  HEARTH_TRY(PreTokenizer pre_tokenizer, PreTokenizer::create(tables.pre));
  return std::make_unique<const BpeTokenizer>(tables, std::move(owner), std::move(pre_tokenizer));
}

}  // namespace hearth::text

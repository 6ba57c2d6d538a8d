// What the tokenizer families share: special tokens, BOS and EOS, and finding a token by text.
// A family adds how plain text between special tokens becomes ids.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/vocab_image.h"

namespace hearth::text {

// A single word longer than this is cut: it bounds the memory that merging takes (about 50 bytes
// per byte of the word) without touching any real text.
inline constexpr std::size_t kWordBytesMax = std::size_t{4} << 20;

class VocabTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const final;
  std::optional<TokenId> find(std::string_view text) const final {
    return tables().index.find(text);
  }

 protected:
  using Tokenizer::Tokenizer;

  // Appends the ids of plain text.  `after_special` at the start and after a special token.
  virtual void append_text(std::string_view text, bool after_special,
                           std::vector<TokenId>& out) const = 0;

  TokenType type(TokenId id) const;
  // As find(), among those tokens only that plain text may become.
  std::optional<TokenId> find_text(std::string_view text) const;
};

using TokenizerResult = Result<std::unique_ptr<const Tokenizer>>;

// The families.  Each fills in what files leave out, builds its tables into a draft that holds the
// common ones, and opens an image; all expect a spec that Tokenizer::make_image has checked.
Result<> set_bpe_defaults(VocabSpec& spec);
Result<> build_bpe(const VocabSpec& spec, VocabDraft& draft);
TokenizerResult open_bpe(const VocabTables& tables, std::shared_ptr<const void> owner);

// The merge list, by the ids of what it joins.
Result<> build_merges(const VocabSpec& spec, VocabDraft& draft);

Result<> set_spm_defaults(VocabSpec& spec);
Result<> build_spm(const VocabSpec& spec, VocabDraft& draft);
// SentencePiece's letters, merged in the order of a list instead of by scores.
Result<> set_marked_bpe_defaults(VocabSpec& spec);
Result<> build_marked_bpe(const VocabSpec& spec, VocabDraft& draft);
TokenizerResult open_spm(const VocabTables& tables, std::shared_ptr<const void> owner);

Result<> set_wordpiece_defaults(VocabSpec& spec);
Result<> build_wordpiece(const VocabSpec& spec, VocabDraft& draft);
TokenizerResult open_wordpiece(const VocabTables& tables, std::shared_ptr<const void> owner);

// Whether plain text may become a token of this type: all but control, unknown and byte tokens.
bool is_text(TokenType type);

}  // namespace hearth::text

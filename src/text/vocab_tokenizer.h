// What the tokenizer families share: special tokens, BOS and EOS, and finding a token by text.
// A family adds how plain text between special tokens becomes ids.
#pragma once

#include <string_view>
#include <vector>

#include "text/special_tokens.h"
#include "text/token_index.h"
#include "text/tokenizer.h"

namespace hearth::text {

// A single word longer than this is cut: it bounds the memory that merging takes (about 50 bytes
// per byte of the word) without touching any real text.
inline constexpr std::size_t kWordBytesMax = std::size_t{4} << 20;

class VocabTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const final;
  std::optional<TokenId> find(std::string_view text) const final { return index_.find(text); }

 protected:
  explicit VocabTokenizer(VocabSpec spec);

  // Appends the ids of plain text.  `after_special` at the start and after a special token.
  virtual void append_text(std::string_view text, bool after_special,
                           std::vector<TokenId>& out) const = 0;

  TokenType type(TokenId id) const;
  // Whether plain text may become `id`: all but control, unknown and byte tokens.
  bool is_text(TokenId id) const;
  // As find(), among those tokens only.
  std::optional<TokenId> find_text(std::string_view text) const;

 private:
  TokenIndex index_;
  SpecialTokens user_defined_;  // Always split.
  SpecialTokens all_special_;   // Split where parse_special is set.
};

// The families.  All expect a spec that Tokenizer::create has checked.
Result<std::unique_ptr<const Tokenizer>> create_bpe_tokenizer(VocabSpec spec);
Result<std::unique_ptr<const Tokenizer>> create_spm_tokenizer(VocabSpec spec);
Result<std::unique_ptr<const Tokenizer>> create_wordpiece_tokenizer(VocabSpec spec);

}  // namespace hearth::text

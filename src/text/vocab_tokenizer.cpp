#include "text/vocab_tokenizer.h"

namespace hearth::text {
std::vector<TokenId> VocabTokenizer::encode(std::string_view text,
                                            const EncodeOptions& options) const {
  std::vector<TokenId> out;
  if (options.add_special && adds_bos()) out.push_back(*bos());

  // Plain text and special tokens take turns.
  const SpecialTokens& specials =
      options.parse_special ? tables().all_special : tables().user_defined;
  bool after_special = true;
  for (std::size_t pos = 0; pos < text.size();) {
    const SpecialTokens::Match match = specials.find(text, pos);
    if (match.pos > pos) append_text(text.substr(pos, match.pos - pos), after_special, out);
    after_special = match.length > 0;
    if (after_special) out.push_back(match.id);
    pos = match.pos + match.length;
  }

  if (options.add_special && tables().facts.adds_eos != 0 && eos()) out.push_back(*eos());
  return out;
}

TokenType VocabTokenizer::type(TokenId id) const {
  const auto types = tables().types;
  return types.empty() ? TokenType::kNormal : types[static_cast<std::size_t>(id)];
}

std::optional<TokenId> VocabTokenizer::find_text(std::string_view text) const {
  const std::optional<TokenId> id = find(text);
  return id && is_text(type(*id)) ? id : std::nullopt;
}

bool is_text(TokenType type) {
  return type != TokenType::kControl && type != TokenType::kUnknown && type != TokenType::kByte;
}

}  // namespace hearth::text

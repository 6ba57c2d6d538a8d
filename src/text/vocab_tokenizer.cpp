#include "text/vocab_tokenizer.h"

#include <algorithm>
#include <utility>

namespace hearth::text {
namespace {

// The ids whose type is one of `types`.
std::vector<TokenId> ids_of(const VocabSpec& spec, std::initializer_list<TokenType> types) {
  std::vector<TokenId> ids;
  for (std::size_t id = 0; id < spec.types.size(); ++id) {
    if (std::ranges::find(types, spec.types[id]) != types.end()) {
      ids.push_back(static_cast<TokenId>(id));
    }
  }
  return ids;
}

}  // namespace

VocabTokenizer::VocabTokenizer(VocabSpec spec)
    : Tokenizer(std::move(spec)),
      index_(spec_.tokens),
      user_defined_(spec_.tokens, ids_of(spec_, {TokenType::kUserDefined})),
      all_special_(spec_.tokens, ids_of(spec_, {TokenType::kUserDefined, TokenType::kControl,
                                                TokenType::kUnknown})) {}

std::vector<TokenId> VocabTokenizer::encode(std::string_view text,
                                            const EncodeOptions& options) const {
  std::vector<TokenId> out;
  if (options.add_special && adds_bos()) out.push_back(*spec_.bos);

  // Plain text and special tokens take turns.
  const SpecialTokens& specials = options.parse_special ? all_special_ : user_defined_;
  bool after_special = true;
  for (std::size_t pos = 0; pos < text.size();) {
    const SpecialTokens::Match match = specials.find(text, pos);
    if (match.pos > pos) append_text(text.substr(pos, match.pos - pos), after_special, out);
    after_special = match.length > 0;
    if (after_special) out.push_back(match.id);
    pos = match.pos + match.length;
  }

  if (options.add_special && spec_.add_eos.value_or(false) && spec_.eos) out.push_back(*spec_.eos);
  return out;
}

TokenType VocabTokenizer::type(TokenId id) const {
  return spec_.types.empty() ? TokenType::kNormal : spec_.types[static_cast<std::size_t>(id)];
}

bool VocabTokenizer::is_text(TokenId id) const {
  const TokenType t = type(id);
  return t != TokenType::kControl && t != TokenType::kUnknown && t != TokenType::kByte;
}

std::optional<TokenId> VocabTokenizer::find_text(std::string_view text) const {
  const std::optional<TokenId> id = index_.find(text);
  return id && is_text(*id) ? id : std::nullopt;
}

}  // namespace hearth::text

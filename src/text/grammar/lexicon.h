// A vocabulary's tokens as a trie over their bytes, so that tokens with a common beginning
// are held against a grammar together.
//
// Nodes lie in depth-first order in one array: a walk is a loop over it, and leaving out a
// subtree is one jump.  Tokens lie in the order of their bytes; those of a subtree are one
// range of it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace hearth::text::grammar {

inline constexpr std::size_t kTokenBytesMax = 1024;  // Longer tokens are never allowed.

// Threading: immutable.
class Lexicon {
 public:
  struct Node {
    std::uint32_t subtree_end;  // The next node that is not below this one.
    std::uint32_t first_token;  // In token order; those of the node itself come first.
    std::uint16_t depth;        // Bytes from the root.
    std::uint8_t byte;
  };

  // Text tokens of a tokenizer; its end-of-generation tokens.
  static std::shared_ptr<const Lexicon> create(const Tokenizer& tokenizer);
  // `pieces[id]` is what a token stands for, empty for one that is no text.
  static std::shared_ptr<const Lexicon> create(std::vector<std::string> pieces,
                                               std::vector<TokenId> end_tokens);

  std::uint32_t n_vocab() const { return static_cast<std::uint32_t>(pieces_.size()); }
  std::size_t mask_words() const { return (pieces_.size() + 63) / 64; }
  std::uint32_t token_bytes_max() const { return token_bytes_max_; }
  std::span<const TokenId> end_tokens() const { return end_tokens_; }
  bool is_end_token(TokenId id) const;
  std::string_view piece(TokenId id) const;  // Empty for ids that are no text or out of range.

  // Node 0 is the root; a last one beyond the trie ends every range.
  std::span<const Node> nodes() const { return nodes_; }
  // Ids in the order of their bytes.
  std::span<const TokenId> order() const { return order_; }

 private:
  Lexicon(std::vector<std::string> pieces, std::vector<TokenId> end_tokens);
  void build_trie();

  std::vector<std::string> pieces_;
  std::vector<TokenId> end_tokens_;
  std::vector<TokenId> order_;
  std::vector<Node> nodes_;
  std::uint32_t token_bytes_max_ = 0;
};

}  // namespace hearth::text::grammar

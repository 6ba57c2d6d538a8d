#include "text/grammar/lexicon.h"

#include <algorithm>
#include <utility>

namespace hearth::text::grammar {

std::shared_ptr<const Lexicon> Lexicon::create(const Tokenizer& tokenizer) {
  std::vector<std::string> pieces(tokenizer.n_vocab());
  std::vector<TokenId> end_tokens;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (tokenizer.is_end_of_generation(id)) {
      end_tokens.push_back(id);
    } else if (!tokenizer.is_control(id)) {
      pieces[i] = tokenizer.piece(id);
    }
  }
  return create(std::move(pieces), std::move(end_tokens));
}

std::shared_ptr<const Lexicon> Lexicon::create(std::vector<std::string> pieces,
                                               std::vector<TokenId> end_tokens) {
  return std::shared_ptr<const Lexicon>(new Lexicon(std::move(pieces), std::move(end_tokens)));
}

Lexicon::Lexicon(std::vector<std::string> pieces, std::vector<TokenId> end_tokens)
    : pieces_(std::move(pieces)), end_tokens_(std::move(end_tokens)) {
  std::ranges::sort(end_tokens_);
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (pieces_[i].size() > kTokenBytesMax) pieces_[i].clear();
    if (pieces_[i].empty()) continue;
    order_.push_back(static_cast<TokenId>(i));
    token_bytes_max_ = std::max(token_bytes_max_, static_cast<std::uint32_t>(pieces_[i].size()));
  }
  std::ranges::sort(order_, [this](TokenId a, TokenId b) {
    const std::string_view left = piece(a), right = piece(b);
    return left != right ? left < right : a < b;
  });
  build_trie();
}

bool Lexicon::is_end_token(TokenId id) const { return std::ranges::binary_search(end_tokens_, id); }

std::string_view Lexicon::piece(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= pieces_.size()) return {};
  return pieces_[static_cast<std::size_t>(id)];
}

// Tokens come sorted, so a node's subtree ends when a token no longer passes through it.
void Lexicon::build_trie() {
  nodes_.push_back({});
  std::vector<std::size_t> path = {0};  // Node of each depth.
  std::string_view last;
  const auto leave = [&](std::size_t depth) {
    for (; path.size() > depth + 1; path.pop_back()) {
      nodes_[path.back()].subtree_end = static_cast<std::uint32_t>(nodes_.size());
    }
  };
  for (std::uint32_t i = 0; i < order_.size(); ++i) {
    const std::string_view bytes = piece(order_[i]);
    const auto common =
        static_cast<std::size_t>(std::ranges::mismatch(last, bytes).in2 - bytes.begin());
    leave(common);
    for (std::size_t depth = common; depth < bytes.size(); ++depth) {
      path.push_back(nodes_.size());
      nodes_.push_back({.first_token = i,
                        .depth = static_cast<std::uint16_t>(depth + 1),
                        .byte = static_cast<std::uint8_t>(bytes[depth])});
    }
    last = bytes;
  }
  leave(0);
  const auto n_nodes = static_cast<std::uint32_t>(nodes_.size());
  nodes_[0].subtree_end = n_nodes;
  nodes_.push_back(
      {.subtree_end = n_nodes + 1, .first_token = static_cast<std::uint32_t>(order_.size())});
}

}  // namespace hearth::text::grammar

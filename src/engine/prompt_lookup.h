// Drafts the next tokens of a session by looking for its last ones earlier in its own text
// (Saxena 2023, "Prompt Lookup Decoding"): an answer that edits, quotes or goes on with a list
// repeats much of what was there already.
//
// A draft costs nothing to make and is checked by the model in the batch that decodes anyway, so
// the only question is how many tokens to draft (draft_trust.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/draft_trust.h"
#include "text/tokenizer.h"

namespace hearth::engine {

// Threading: externally synchronised.
class PromptLookup {
 public:
  // For a session that starts with n_prompt tokens.  The index is made at the first draft: many
  // sessions never draft.
  explicit PromptLookup(std::size_t n_prompt);

  // Writes the tokens that may follow `tokens` to `draft`, at most n_max; `tokens` must begin with
  // what earlier calls were given.  Takes memory in the first call alone.
  void propose(std::span<const text::TokenId> tokens, std::uint32_t n_max,
               std::vector<text::TokenId>& draft);

  // Of n_drafted tokens n_taken were what the model chose.
  void learn(std::uint32_t n_drafted, std::uint32_t n_taken) { trust_.learn(n_drafted, n_taken); }

  std::uint32_t n_worthwhile() const { return trust_.best(0).n_drafts; }

 private:
  std::uint32_t& place_of(const text::TokenId* gram);
  void index_up_to(std::span<const text::TokenId> tokens, std::size_t end);

  std::size_t n_places_;
  std::vector<std::uint32_t> after_;  // By a gram's hash: where the token after its last place is.
  std::size_t n_indexed_ = 0;         // Grams that end before it are in `after_`.
  DraftTrust trust_;
};

}  // namespace hearth::engine

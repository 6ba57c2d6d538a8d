// Finds the tokens that are taken from a text before anything else: user-defined tokens
// always, control tokens where the caller trusts the text (EncodeOptions::parse_special).
//
// Where several match, the leftmost wins, and of those at one place the longest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/token_texts.h"

namespace hearth::text {

// Longer texts are never matched: a bound on the work per byte.
inline constexpr std::size_t kSpecialBytesMax = 1024;

// Borrows texts and ids; they must outlive it and stay where they are.
//
// Threading: immutable.
class SpecialTokens {
 public:
  struct Match {
    std::size_t pos;     // text.size() where there is no match.
    std::size_t length;  // Bytes.
    std::int32_t id;
  };

  SpecialTokens() = default;
  // `sorted_ids` as build() made them for the same texts.
  SpecialTokens(TokenTexts texts, std::span<const std::int32_t> sorted_ids);

  // Those of `ids` that can be matched, sorted by their texts, each text once.
  static std::vector<std::int32_t> build(const TokenTexts& texts, std::vector<std::int32_t> ids);

  // The first match at or after `pos`.
  Match find(std::string_view text, std::size_t pos) const;

 private:
  TokenTexts texts_;
  std::span<const std::int32_t> ids_;
  // ids_[starts_[b], starts_[b + 1]) are those whose first byte is b; empty without ids.
  std::vector<std::uint32_t> starts_;
};

}  // namespace hearth::text

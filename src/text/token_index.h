// Which id has a given text: an open-addressing hash table over texts that lie elsewhere.
//
// Eight bytes a slot and at most two thirds full: 2 MiB for a vocabulary of 150,000 tokens, in one
// block that may be mapped from a file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/token_texts.h"

namespace hearth::text {

// Borrows texts and slots; they must outlive it and stay where they are.
//
// Threading: immutable.
class TokenIndex {
 public:
  struct Slot {
    std::uint32_t tag;  // Upper half of the text's hash; spares most comparisons.
    std::int32_t id;    // -1 where the slot is free.
  };

  TokenIndex() = default;
  // `slots` as build() made them for the same texts.
  TokenIndex(TokenTexts texts, std::span<const Slot> slots) : texts_(texts), slots_(slots) {}

  // A power of two of slots.  Where two ids have one text, the lower is found.  At most 2^30 texts.
  static std::vector<Slot> build(const TokenTexts& texts);

  std::optional<std::int32_t> find(std::string_view text) const;

 private:
  TokenTexts texts_;
  std::span<const Slot> slots_;
};

}  // namespace hearth::text

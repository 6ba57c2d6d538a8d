// Which id has a given text: an open-addressing hash table over texts that lie elsewhere.
//
// Eight bytes a slot and at most half full: 2 to 4 MiB for a vocabulary of 150,000 tokens, in
// one allocation.  text_bench.cpp measures how long a tokenizer takes to build.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::text {

// Borrows the texts; they must outlive it and stay where they are.
//
// Threading: immutable once built.
class TokenIndex {
 public:
  TokenIndex() = default;
  // Where two ids have one text, the lower is found.  At most 2^31 texts.
  explicit TokenIndex(const std::vector<std::string>& texts);

  std::optional<std::int32_t> find(std::string_view text) const;

 private:
  struct Slot {
    std::uint32_t tag;  // Upper half of the text's hash; spares most comparisons.
    std::int32_t id;    // -1 where the slot is free.
  };

  const std::vector<std::string>* texts_ = nullptr;
  std::vector<Slot> slots_;  // A power of two, or none.
};

}  // namespace hearth::text

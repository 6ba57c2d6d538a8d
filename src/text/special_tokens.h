// Finds the tokens that are taken from a text before anything else: user-defined tokens
// always, control tokens where the caller trusts the text (EncodeOptions::parse_special).
//
// Where several match, the leftmost wins, and of those at one place the longest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::text {

// Longer texts are never matched: a bound on the work per byte.
inline constexpr std::size_t kSpecialBytesMax = 1024;

// Borrows the texts; they must outlive it and stay where they are.
//
// Threading: immutable once built.
class SpecialTokens {
 public:
  struct Match {
    std::size_t pos;     // text.size() where there is no match.
    std::size_t length;  // Bytes.
    std::int32_t id;
  };

  SpecialTokens() = default;
  SpecialTokens(const std::vector<std::string>& texts, std::vector<std::int32_t> ids);

  // The first match at or after `pos`.
  Match find(std::string_view text, std::size_t pos) const;

 private:
  const std::vector<std::string>* texts_ = nullptr;
  std::vector<std::int32_t> ids_;  // Sorted by text.
  // ids_[starts_[b], starts_[b + 1]) are those whose first byte is b.
  std::array<std::uint32_t, 257> starts_{};
};

}  // namespace hearth::text

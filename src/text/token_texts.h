// The texts of all tokens, one after another in one block of bytes that lies elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::text {

// Borrows; the block must outlive it.
//
// Threading: immutable.
class TokenTexts {
 public:
  TokenTexts() = default;
  // `starts` [n_tokens + 1] ascend from 0 to bytes.size().
  TokenTexts(std::span<const std::uint32_t> starts, std::string_view bytes)
      : starts_(starts), bytes_(bytes) {}

  std::size_t size() const { return starts_.empty() ? 0 : starts_.size() - 1; }
  // `id` must be below size().
  std::string_view operator[](std::size_t id) const {
    return {bytes_.data() + starts_[id], starts_[id + 1] - starts_[id]};
  }

 private:
  std::span<const std::uint32_t> starts_;
  std::string_view bytes_;
};

// Texts that own their block: what tables are built over.
struct OwnedTexts {
  std::vector<std::uint32_t> starts{0};
  std::string bytes;

  OwnedTexts() = default;
  explicit OwnedTexts(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      bytes += text;
      starts.push_back(static_cast<std::uint32_t>(bytes.size()));
    }
  }
  TokenTexts view() const { return {starts, bytes}; }
};

}  // namespace hearth::text

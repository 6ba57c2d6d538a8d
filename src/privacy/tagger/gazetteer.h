// Words that are names, places, streets, ...: a hash table of fingerprints, as it lies in weights.bin.
// About one word in a thousand that is in no list is found in one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::privacy {

class Gazetteer {
 public:
  // A power of two of slots, at least one of them empty; classes of 0 mark empty ones.
  Gazetteer(const std::byte* fingerprints, std::span<const std::uint8_t> classes)
      : fingerprints_(fingerprints), classes_(classes) {}

  // The classes of the word with this hash; 0 for none.
  std::uint8_t find(std::uint32_t hash) const {
    const std::size_t mask = classes_.size() - 1;
    const auto mark = static_cast<std::uint16_t>((hash & 0xFFFFU) ^ (hash >> 16));
    std::size_t at = static_cast<std::size_t>((std::uint64_t{hash * 0x9E3779B1U} * classes_.size()) >> 32);
    for (; classes_[at] != 0; at = (at + 1) & mask) {
      const auto low = std::to_integer<unsigned>(fingerprints_[2 * at]);
      const auto high = std::to_integer<unsigned>(fingerprints_[2 * at + 1]);
      if ((low | high << 8) == mark) return classes_[at];
    }
    return 0;
  }

 private:
  const std::byte* fingerprints_;  // Little-endian.
  std::span<const std::uint8_t> classes_;
};

}  // namespace hearth::privacy

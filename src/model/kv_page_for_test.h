// What a slot of a page holds, number by number and straight from the words of kv_layout.h: the plain
// twin of what attention loads.
#pragma once

#include <cstring>

#include "model/kv_layout.h"
#include "tensor/float_formats.h"

namespace hearth::model {

inline double half_at(const std::byte* block, std::size_t i) {
  tensor::F16 bits = 0;
  std::memcpy(&bits, block + i * sizeof bits, sizeof bits);
  return static_cast<double>(tensor::f32_from_f16(bits));
}

inline double scale_at(const KvLayout& layout, const std::byte* block, std::uint32_t slot,
                       std::uint32_t d) {
  return half_at(block + layout.code_bytes(), std::size_t{d / kKvGroup} * kPageTokens + slot);
}

inline double nibble(std::byte pair, bool is_high) {
  const auto bits = std::to_integer<unsigned>(pair);
  return static_cast<double>(is_high ? bits >> 4 : bits & 15U) - 8;
}

inline double key_in_slot(const KvLayout& layout, const std::byte* block, std::uint32_t slot,
                          std::uint32_t d) {
  const std::size_t at = std::size_t{d} * kPageTokens + slot;
  if (layout.type == KvType::kF16) return half_at(block, at);
  const double scale = scale_at(layout, block, slot, d);
  if (layout.type == KvType::kQ8_0) return (std::to_integer<int>(block[at]) - 128) * scale;
  return nibble(block[std::size_t{d / 2} * kPageTokens + slot], d % 2 == 1) * scale;
}

inline double value_in_slot(const KvLayout& layout, const std::byte* block, std::uint32_t slot,
                            std::uint32_t d) {
  const std::size_t at = std::size_t{slot} * layout.head_dim + d;
  if (layout.type == KvType::kF16) return half_at(block, at);
  const double scale = scale_at(layout, block, slot, d);
  if (layout.type == KvType::kQ8_0) return (std::to_integer<int>(block[at]) - 128) * scale;
  const std::size_t group = std::size_t{slot} * layout.n_groups() + d / kKvGroup;
  return nibble(block[group * 16 + d % 16], d % kKvGroup >= 16) * scale;
}

}  // namespace hearth::model

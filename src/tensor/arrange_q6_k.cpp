#include "tensor/arrange_q6_k.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "tensor/blocks.h"

namespace hearth::tensor {
namespace {

constexpr std::size_t kQuads = 64;  // Dwords of four weights, a byte each.
constexpr std::uint32_t kNibbles = 0x0F0F0F0FU;
constexpr std::uint32_t kPairs = 0x03030303U;
constexpr std::uint32_t kSix = 0x3F3F3F3FU;

using Quads = std::array<std::uint32_t, kQuads>;

std::uint32_t load(const std::uint8_t* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Where a file has quad n: its nibbles in a dword of ql, its pairs in one of qh.
struct Place {
  std::size_t low, high;
  int low_shift, high_shift;
};
constexpr Place place(std::size_t n) {
  const std::size_t half = n / 32;
  const std::size_t plane = n / 8 % 4;
  const std::size_t at = n % 8 * 4;
  return {64 * half + 32 * (plane % 2) + at, 32 * half + at, plane < 2 ? 0 : 4,
          static_cast<int>(2 * plane)};
}

Quads read_quads(const BlockQ6_K& block) {
  Quads quads;
  for (std::size_t n = 0; n < kQuads; ++n) {
    const Place p = place(n);
    const std::uint32_t low = (load(block.ql + p.low) >> p.low_shift) & kNibbles;
    const std::uint32_t high = (load(block.qh + p.high) >> p.high_shift) & kPairs;
    quads[n] = low | high << 4;
  }
  return quads;
}

void write_quads(const Quads& quads, BlockQ6_K& block) {
  std::uint32_t ql[sizeof block.ql / 4] = {};
  std::uint32_t qh[sizeof block.qh / 4] = {};
  for (std::size_t n = 0; n < kQuads; ++n) {
    const Place p = place(n);
    ql[p.low / 4] |= (quads[n] & kNibbles) << p.low_shift;
    qh[p.high / 4] |= (quads[n] >> 4 & kPairs) << p.high_shift;
  }
  std::memcpy(block.ql, ql, sizeof ql);
  std::memcpy(block.qh, qh, sizeof qh);
}

constexpr std::size_t kArrangedBytes = 192;  // Of weights.
static_assert(offsetof(BlockQ6_K, scales) == kArrangedBytes && sizeof(BlockQ6_K) == kQ6KBytes);

}  // namespace

void arrange_q6_k(const std::byte* block, std::byte* out) {
  BlockQ6_K from;
  std::memcpy(&from, block, sizeof from);
  const Quads quads = read_quads(from);
  std::uint32_t dwords[kArrangedBytes / 4];
  for (std::size_t s = 0; s < kQuads / 4; ++s) {
    const std::uint32_t* quad = quads.data() + 4 * s;
    for (int k = 0; k < 3; ++k) {
      dwords[3 * s + static_cast<std::size_t>(k)] = quad[k] | (quad[3] >> (4 - 2 * k) & kPairs) << 6;
    }
  }
  std::memcpy(out, dwords, sizeof dwords);
  std::memcpy(out + kArrangedBytes, block + kArrangedBytes, kQ6KBytes - kArrangedBytes);
}

void restore_q6_k(const std::byte* arranged, std::byte* out) {
  std::uint32_t dwords[kArrangedBytes / 4];
  std::memcpy(dwords, arranged, sizeof dwords);
  Quads quads = {};
  for (std::size_t s = 0; s < kQuads / 4; ++s) {
    std::uint32_t* quad = quads.data() + 4 * s;
    for (int k = 0; k < 3; ++k) {
      const std::uint32_t dword = dwords[3 * s + static_cast<std::size_t>(k)];
      quad[k] = dword & kSix;
      quad[3] |= (dword >> 6 & kPairs) << (4 - 2 * k);
    }
  }
  BlockQ6_K block;
  write_quads(quads, block);
  std::memcpy(out, &block, kArrangedBytes);
  std::memcpy(out + kArrangedBytes, arranged + kArrangedBytes, kQ6KBytes - kArrangedBytes);
}

}  // namespace hearth::tensor

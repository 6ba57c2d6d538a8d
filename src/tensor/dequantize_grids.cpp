#include "tensor/dequantize_grids.h"

#include <bit>

#include "tensor/grids.h"

namespace hearth::tensor {
namespace {

// Coordinate i, from 0 on, of all points one after another.
template <std::size_t kQuads>
int coordinate(const Grid<kQuads>& grid, int i) {
  return static_cast<int>((grid.quads[i / 4] >> (8 * (i % 4))) & 255U);
}

unsigned two_bytes(const std::uint8_t* p) { return p[0] | (static_cast<unsigned>(p[1]) << 8); }
unsigned four_bytes(const std::uint8_t* p) { return two_bytes(p) | (two_bytes(p + 2) << 16); }

int nibble(const std::uint8_t* bytes, int i) { return (bytes[i / 2] >> (4 * (i % 2))) & 15; }

// Of seven signs, the eighth makes an even number of ones.
unsigned eight_signs(unsigned seven) {
  return seven | (static_cast<unsigned>(std::popcount(seven) % 2) << 7);
}

float odd_scale(float d, int s, float factor) { return d * static_cast<float>(2 * s + 1) * factor; }

float signed_weight(float scale, int magnitude, unsigned signs, int i) {
  return scale * static_cast<float>(((signs >> i) & 1U) != 0 ? -magnitude : magnitude);
}

float eighths(float scale, int coordinate, bool is_down) {
  return scale *
         static_cast<float>(coordinate - static_cast<int>(kGridOffset) + (is_down ? -1 : 1));
}

}  // namespace

void expand(const BlockIQ2_XXS& b, float* out) {
  for (int i = 0; i < 256; ++i) {
    const std::uint8_t* group = b.qs + i / 32 * 8;
    const unsigned rest = four_bytes(group + 4);
    const int point = i / 8 % 4;
    const float scale = odd_scale(half(b.d), static_cast<int>(rest >> 28), 0.125F);
    out[i] = signed_weight(scale, coordinate(kGridIQ2_XXS, group[point] * 8 + i % 8),
                           eight_signs((rest >> (7 * point)) & 127), i % 8);
  }
}

void expand(const BlockIQ2_XS& b, float* out) {
  for (int i = 0; i < 256; ++i) {
    const unsigned q = two_bytes(b.qs + i / 8 * 2);
    const float scale = odd_scale(half(b.d), nibble(b.scales, i / 16), 0.125F);
    out[i] = signed_weight(scale, coordinate(kGridIQ2_XS, static_cast<int>(q & 511) * 8 + i % 8),
                           eight_signs(q >> 9), i % 8);
  }
}

void expand(const BlockIQ2_S& b, float* out) {
  for (int i = 0; i < 256; ++i) {
    const int high = (b.qh[i / 32] >> (2 * (i / 8 % 4))) & 3;
    const int index = b.qs[i / 8] | (high << 8);
    const float scale = odd_scale(half(b.d), nibble(b.scales, i / 16), 0.125F);
    out[i] = signed_weight(scale, coordinate(kGridIQ2_S, index * 8 + i % 8), b.signs[i / 8], i % 8);
  }
}

void expand(const BlockIQ3_XXS& b, float* out) {
  for (int i = 0; i < 256; ++i) {
    const unsigned rest = four_bytes(b.signs_s + i / 32 * 4);
    const float scale = odd_scale(half(b.d), static_cast<int>(rest >> 28), 0.25F);
    out[i] = signed_weight(scale, coordinate(kGridIQ3_XXS, b.qs[i / 4] * 4 + i % 4),
                           eight_signs((rest >> (7 * (i / 8 % 4))) & 127), i % 8);
  }
}

void expand(const BlockIQ3_S& b, float* out) {
  for (int i = 0; i < 256; ++i) {
    const int high = (b.qh[i / 32] >> (i / 4 % 8)) & 1;
    const int index = b.qs[i / 4] | (high << 8);
    const float scale = odd_scale(half(b.d), nibble(b.scales, i / 32), 1.0F);
    out[i] = signed_weight(scale, coordinate(kGridIQ3_S, index * 4 + i % 4), b.signs[i / 8], i % 8);
  }
}

void expand(const BlockIQ1_S& b, float* out) {
  for (int i = 0; i < 256; ++i) {
    const int high = static_cast<int>(two_bytes(b.qh[i / 32]));
    const int index = b.qs[i / 8] | (((high >> (3 * (i / 8 % 4))) & 7) << 8);
    const float scale = odd_scale(half(b.d), (high >> 12) & 7, 0.125F);
    out[i] = eighths(scale, coordinate(kGridIQ1, index * 8 + i % 8), (high & 0x8000) != 0);
  }
}

void expand(const BlockIQ1_M& b, float* out) {
  unsigned d = 0;
  for (int i = 0; i < 4; ++i) d |= (two_bytes(b.scales[i]) >> 12) << (4 * i);
  for (int i = 0; i < 256; ++i) {
    const int high = nibble(b.qh, i / 8);
    const int index = b.qs[i / 8] | ((high & 7) << 8);
    const int s = static_cast<int>(two_bytes(b.scales[i / 64]) >> (3 * (i / 16 % 4))) & 7;
    const float scale = odd_scale(f32_from_f16(static_cast<F16>(d)), s, 0.125F);
    out[i] = eighths(scale, coordinate(kGridIQ1, index * 8 + i % 8), (high & 8) != 0);
  }
}

void expand(const BlockTQ1_0& b, float* out) {
  static constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  const auto digit = [](unsigned byte, int n) {
    return static_cast<int>((byte * kPowers[n] % 256 * 3) >> 8);
  };
  for (int i = 0; i < 256; ++i) {
    const int q = i < 160   ? digit(b.qs[i % 32], i / 32)
                  : i < 240 ? digit(b.qs[32 + i % 16], (i - 160) / 16)
                            : digit(b.qh[i % 4], (i - 240) / 4);
    out[i] = half(b.d) * static_cast<float>(q - 1);
  }
}

void expand(const BlockTQ2_0& b, float* out) {
  for (int i = 0; i < 256; ++i) out[i] = half(b.d) * static_cast<float>(two_bits(b.qs, i) - 1);
}

}  // namespace hearth::tensor

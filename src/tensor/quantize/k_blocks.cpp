// The types with 256 weights a block, in groups of 16 or 32 whose small integer scales are shared
// out of one or two half-precision scales.
//
// Each group is fitted on its own first.  The largest group scale then fixes the block's, which
// rounds every group's; so the block's scales are refitted to the rounded ones, and each group then
// looks which of the neighbouring integers serves it best.
#include <array>
#include <cstring>

#include "tensor/quantize/block_tools.h"
#include "tensor/quantize/block_writers.h"

namespace hearth::tensor::quant {
namespace {

constexpr int kBlock = 256;
constexpr int kRounds = 2;  // Of rounding group scales: before the refit and after it.

// ---- Formats with a min: w = d * scale * q - dmin * min ----

template <int kGroup>
struct MinBlock {
  static constexpr int kGroups = kBlock / kGroup;
  float d = 0, dmin = 0;
  std::array<int, kGroups> scales{}, mins{};
  std::array<std::uint8_t, kBlock> codes{};

  Fit fit_of(int scale, int min) const {
    return {d * static_cast<float>(scale), -dmin * static_cast<float>(min)};
  }
  Fit fit(int group) const {
    const auto g = static_cast<std::size_t>(group);
    return fit_of(scales[g], mins[g]);
  }
};

// The pair of integers that costs least, of those up to `reach` from the wanted fit.
template <int kGroup>
void choose_group(const float* x, const float* costs, const Codes& codes, int most, Fit wanted,
                  int reach, int group, MinBlock<kGroup>& block) {
  const auto near = [most](float value, float unit) {
    return unit > 0 ? nearest_int(value / unit, 0.0F, static_cast<float>(most)) : 0;
  };
  const int scale = near(wanted.scale, block.d);
  const int min = near(-wanted.offset, block.dmin);
  float least = -1;
  for (int s = std::max(scale - reach, 0); s <= std::min(scale + reach, most); ++s) {
    for (int m = std::max(min - reach, 0); m <= std::min(min + reach, most); ++m) {
      const float cost = kernels_for_group<kGroup>().cost(x, costs, codes, block.fit_of(s, m));
      if (least >= 0 && !(cost < least)) continue;
      least = cost;
      block.scales[static_cast<std::size_t>(group)] = s;
      block.mins[static_cast<std::size_t>(group)] = m;
    }
  }
}

// Least squares for d and dmin with everything else as it is; keeps them where that has no answer.
template <int kGroup>
void refit(const float* x, const float* costs, const Codes& codes, MinBlock<kGroup>& block) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;  // Of a = scale * q and b = -min.
  for (int group = 0; group < block.kGroups; ++group) {
    const Moments sums = kernels_for_group<kGroup>().moments(
        x + group * kGroup, costs + group * kGroup, codes, block.fit(group));
    const double scale = block.scales[static_cast<std::size_t>(group)];
    const double min = block.mins[static_cast<std::size_t>(group)];
    aa += scale * scale * static_cast<double>(sums.wqq);
    ab -= scale * min * static_cast<double>(sums.wq);
    bb += min * min * static_cast<double>(sums.w);
    ax += scale * static_cast<double>(sums.wqx);
    bx -= min * static_cast<double>(sums.wx);
  }
  const double determinant = aa * bb - ab * ab;
  if (!(determinant > 1e-9 * aa * bb)) return;
  const auto d = static_cast<float>((ax * bb - bx * ab) / determinant);
  const auto dmin = static_cast<float>((aa * bx - ab * ax) / determinant);
  if (d > 0 && dmin > 0) {
    block.d = d;
    block.dmin = dmin;
  }
}

// `most`: the largest group scale and min that the format holds.
template <int kGroup>
MinBlock<kGroup> fit_min_block(const float* x, const float* costs, const Codes& codes, int most,
                               HalfBytes& d_out, HalfBytes& dmin_out) {
  MinBlock<kGroup> block;
  std::array<Fit, MinBlock<kGroup>::kGroups> wanted;
  float scale_max = 0;
  float min_max = 0;
  for (int g = 0; g < block.kGroups; ++g) {
    Fit& fit = wanted[static_cast<std::size_t>(g)];
    fit = kernels_for_group<kGroup>().lowered(x + g * kGroup, costs + g * kGroup, codes);
    scale_max = std::max(scale_max, fit.scale);
    min_max = std::max(min_max, -fit.offset);
  }
  block.d = scale_max / static_cast<float>(most);
  block.dmin = min_max / static_cast<float>(most);
  for (int round = 0; round < kRounds; ++round) {
    block.d = put_half(d_out, block.d);
    block.dmin = put_half(dmin_out, block.dmin);
    for (int g = 0; g < block.kGroups; ++g) {
      choose_group(x + g * kGroup, costs + g * kGroup, codes, most,
                   wanted[static_cast<std::size_t>(g)], round + 1 < kRounds ? 0 : 1, g, block);
    }
    if (round + 1 < kRounds) refit(x, costs, codes, block);
  }
  for (int g = 0; g < block.kGroups; ++g) {
    nearest_codes(x + g * kGroup, kGroup, codes, block.fit(g), block.codes.data() + g * kGroup);
  }
  return block;
}

// ---- Symmetric formats: w = d * scale * q ----

template <int kGroup>
struct SymmetricBlock {
  static constexpr int kGroups = kBlock / kGroup;
  float d = 0;
  std::array<int, kGroups> scales{};
  std::array<int, kBlock> codes{};

  Fit fit_of(int scale) const { return {d * static_cast<float>(scale), 0.0F}; }
  Fit fit(int group) const { return fit_of(scales[static_cast<std::size_t>(group)]); }
};

template <int kGroup>
void choose_group(const float* x, const float* costs, const Codes& codes, const Codes& scale_codes,
                  float wanted, int group, SymmetricBlock<kGroup>& block) {
  if (block.d == 0) return;
  const int low = static_cast<int>(scale_codes.lo);
  const int high = static_cast<int>(scale_codes.hi);
  const int scale = nearest_int(wanted / block.d, scale_codes.lo, scale_codes.hi);
  float least = -1;
  for (int s = std::max(scale - 1, low); s <= std::min(scale + 1, high); ++s) {
    const float cost = kernels_for_group<kGroup>().cost(x, costs, codes, block.fit_of(s));
    if (least >= 0 && !(cost < least)) continue;
    least = cost;
    block.scales[static_cast<std::size_t>(group)] = s;
  }
}

template <int kGroup>
void refit(const float* x, const float* costs, const Codes& codes, SymmetricBlock<kGroup>& block) {
  double aa = 0, ax = 0;  // Of a = scale * q.
  for (int group = 0; group < block.kGroups; ++group) {
    const Moments sums = kernels_for_group<kGroup>().moments(
        x + group * kGroup, costs + group * kGroup, codes, block.fit(group));
    const double scale = block.scales[static_cast<std::size_t>(group)];
    aa += scale * scale * static_cast<double>(sums.wqq);
    ax += scale * static_cast<double>(sums.wqx);
  }
  if (aa > 0 && ax != 0) block.d = static_cast<float>(ax / aa);
}

template <int kGroup>
SymmetricBlock<kGroup> fit_symmetric_block(const float* x, const float* costs, const Codes& codes,
                                           const Codes& scale_codes, HalfBytes& d_out) {
  SymmetricBlock<kGroup> block;
  std::array<float, SymmetricBlock<kGroup>::kGroups> wanted{};
  float largest = 0;
  for (int g = 0; g < block.kGroups; ++g) {
    const Fit fit =
        kernels_for_group<kGroup>().symmetric(x + g * kGroup, costs + g * kGroup, codes);
    wanted[static_cast<std::size_t>(g)] = fit.scale;
    if (std::abs(fit.scale) > std::abs(largest)) largest = fit.scale;
  }
  block.d = largest / scale_codes.lo;  // The longer end of the integers for the largest scale.
  for (int round = 0; round < kRounds; ++round) {
    block.d = put_half(d_out, block.d);
    for (int g = 0; g < block.kGroups; ++g) {
      choose_group(x + g * kGroup, costs + g * kGroup, codes, scale_codes,
                   wanted[static_cast<std::size_t>(g)], g, block);
    }
    if (round + 1 < kRounds) refit(x, costs, codes, block);
  }
  for (int g = 0; g < block.kGroups; ++g) {
    nearest_codes(x + g * kGroup, kGroup, codes, block.fit(g), block.codes.data() + g * kGroup);
  }
  return block;
}

// ---- Packing ----

void put_bits(std::uint8_t& byte, int bits, int shift) {
  byte = static_cast<std::uint8_t>(byte | (bits << shift));
}

// The two low bits of every code, as Q2_K and Q3_K keep them.
template <class Code>
void put_two_bits(const std::array<Code, kBlock>& codes, std::uint8_t* qs) {
  std::memset(qs, 0, 64);
  for (int i = 0; i < kBlock; ++i) {
    const int plane = (i / 32) % 4;
    put_bits(qs[i / 128 * 32 + i % 32], codes[static_cast<std::size_t>(i)] & 3, 2 * plane);
  }
}

// The layout of k4_scale_min (dequantize.cpp).
void put_k4_scales(const MinBlock<32>& block, std::uint8_t* out) {
  std::memset(out, 0, 12);
  for (std::size_t g = 0; g < 4; ++g) {
    put_bits(out[g], block.scales[g], 0);
    put_bits(out[g + 4], block.mins[g], 0);
    const int scale = block.scales[g + 4];
    const int min = block.mins[g + 4];
    put_bits(out[g + 8], (scale & 15) | ((min & 15) << 4), 0);
    put_bits(out[g], scale >> 4, 6);
    put_bits(out[g + 4], min >> 4, 6);
  }
}

void put_k4_nibbles(const MinBlock<32>& block, std::uint8_t* qs) {
  std::memset(qs, 0, 128);
  for (int i = 0; i < kBlock; ++i) {
    const int shift = i % 64 < 32 ? 0 : 4;
    put_bits(qs[i / 64 * 32 + i % 32], block.codes[static_cast<std::size_t>(i)] & 15, shift);
  }
}

constexpr Codes kCodes2 = {0, 3, -0.5F, 0.1F, 15};
constexpr Codes kCodes3 = {-4, 3, -0.9F, 0.1F, 19};
constexpr Codes kCodes4 = {0, 15, -1.0F, 0.1F, 20};
constexpr Codes kCodes5 = {0, 31, -0.5F, 0.1F, 15};
constexpr Codes kCodes6 = {-32, 31, -0.9F, 0.1F, 19};
constexpr Codes kScales6 = {-32, 31, 0, 0, 0};
constexpr Codes kScales8 = {-128, 127, 0, 0, 0};

}  // namespace

void write_block(const float* x, const float* importance, BlockQ2_K& out) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs, Unguided::kBySize);
  const MinBlock<16> block = fit_min_block<16>(x, costs, kCodes2, 15, out.d, out.dmin);
  for (std::size_t g = 0; g < 16; ++g) {
    out.scales[g] = static_cast<std::uint8_t>(block.scales[g] | (block.mins[g] << 4));
  }
  put_two_bits(block.codes, out.qs);
}

void write_block(const float* x, const float* importance, BlockQ3_K& out) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs, Unguided::kBySize);
  SymmetricBlock<16> block = fit_symmetric_block<16>(x, costs, kCodes3, kScales6, out.d);
  std::memset(out.scales, 0, sizeof out.scales);
  for (int g = 0; g < 16; ++g) {
    const int scale = block.scales[static_cast<std::size_t>(g)] + 32;
    put_bits(out.scales[g % 8], scale & 15, g < 8 ? 0 : 4);
    put_bits(out.scales[8 + g % 4], scale >> 4, 2 * (g / 4));
  }
  std::memset(out.hmask, 0, sizeof out.hmask);
  for (int i = 0; i < kBlock; ++i) {
    int& code = block.codes[static_cast<std::size_t>(i)];
    code += 4;
    put_bits(out.hmask[i % 32], code >> 2, i / 32);
  }
  put_two_bits(block.codes, out.qs);
}

void write_block(const float* x, const float* importance, BlockQ4_K& out) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs);
  const MinBlock<32> block = fit_min_block<32>(x, costs, kCodes4, 63, out.d, out.dmin);
  put_k4_scales(block, out.scales);
  put_k4_nibbles(block, out.qs);
}

void write_block(const float* x, const float* importance, BlockQ5_K& out) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs);
  const MinBlock<32> block = fit_min_block<32>(x, costs, kCodes5, 63, out.d, out.dmin);
  put_k4_scales(block, out.scales);
  put_k4_nibbles(block, out.qs);
  std::memset(out.qh, 0, sizeof out.qh);
  for (int i = 0; i < kBlock; ++i) {
    put_bits(out.qh[i % 32], block.codes[static_cast<std::size_t>(i)] >> 4, i / 32);
  }
}

void write_block(const float* x, const float* importance, BlockQ6_K& out) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs);
  const SymmetricBlock<16> block = fit_symmetric_block<16>(x, costs, kCodes6, kScales8, out.d);
  std::memset(out.ql, 0, sizeof out.ql);
  std::memset(out.qh, 0, sizeof out.qh);
  for (std::size_t g = 0; g < 16; ++g) out.scales[g] = static_cast<std::int8_t>(block.scales[g]);
  for (int i = 0; i < kBlock; ++i) {
    const int half = i / 128;
    const int plane = i % 128 / 32;
    const int code = block.codes[static_cast<std::size_t>(i)] + 32;
    put_bits(out.ql[64 * half + 32 * (plane % 2) + i % 32], code & 15, plane < 2 ? 0 : 4);
    put_bits(out.qh[32 * half + i % 32], code >> 4, 2 * plane);
  }
}

}  // namespace hearth::tensor::quant

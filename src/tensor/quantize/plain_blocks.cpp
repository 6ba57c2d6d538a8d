// The types with 32 weights a block and half-precision scales.
#include <cstring>

#include "tensor/quantize/block_tools.h"
#include "tensor/quantize/block_writers.h"

namespace hearth::tensor::quant {
namespace {

constexpr int kBlock = 32;

constexpr Codes kCodes4 = {-8, 7, -0.9F, 0.1F, 19};
constexpr Codes kCodes5 = {-16, 15, -0.9F, 0.1F, 19};
constexpr Codes kCodes4Affine = {0, 15, -1.0F, 0.1F, 20};
constexpr Codes kCodes5Affine = {0, 31, -0.5F, 0.1F, 15};

Fit fit_symmetric(const float* x, const float* importance, const Codes& codes) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs);
  return kernels_for_group<kBlock>().symmetric(x, costs, codes);
}

Fit fit_affine(const float* x, const float* importance, const Codes& codes) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs);
  return kernels_for_group<kBlock>().affine(x, costs, codes);
}

// Low four bits of code i and i + 16 in byte i.
void put_nibbles(const int* codes, std::uint8_t* qs) {
  for (int i = 0; i < 16; ++i) {
    qs[i] = static_cast<std::uint8_t>((codes[i] & 15) | ((codes[i + 16] & 15) << 4));
  }
}

void put_fifth_bits(const int* codes, std::uint8_t* qh) {
  std::memset(qh, 0, 4);
  for (int i = 0; i < kBlock; ++i) {
    qh[i / 8] = static_cast<std::uint8_t>(qh[i / 8] | (((codes[i] >> 4) & 1) << (i % 8)));
  }
}

// Codes of a symmetric block, counted from 0.
void codes_from_zero(const float* x, const Codes& codes, float scale, int* out) {
  nearest_codes(x, kBlock, codes, {scale, 0.0F}, out);
  for (int i = 0; i < kBlock; ++i) out[i] -= static_cast<int>(codes.lo);
}

// The index of the entry of kIq4Values (which ascend) nearest to `value`.
int nearest_iq4(float value) {
  int low = 0;
  int high = 15;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (value < static_cast<float>(kIq4Values[middle]) ? high : low) = middle;
  }
  const float from_low = value - static_cast<float>(kIq4Values[low]);
  return from_low < static_cast<float>(kIq4Values[high]) - value ? low : high;
}

}  // namespace

void write_block(const float* x, const float* importance, BlockQ4_0& out) {
  int codes[kBlock];
  const float scale = put_half(out.d, fit_symmetric(x, importance, kCodes4).scale);
  codes_from_zero(x, kCodes4, scale, codes);
  put_nibbles(codes, out.qs);
}

void write_block(const float* x, const float* importance, BlockQ5_0& out) {
  int codes[kBlock];
  const float scale = put_half(out.d, fit_symmetric(x, importance, kCodes5).scale);
  codes_from_zero(x, kCodes5, scale, codes);
  put_nibbles(codes, out.qs);
  put_fifth_bits(codes, out.qh);
}

void write_block(const float* x, const float* importance, BlockQ4_1& out) {
  int codes[kBlock];
  const Fit fit = fit_affine(x, importance, kCodes4Affine);
  const float scale = put_half(out.d, fit.scale);
  nearest_codes(x, kBlock, kCodes4Affine, {scale, put_half(out.m, fit.offset)}, codes);
  put_nibbles(codes, out.qs);
}

void write_block(const float* x, const float* importance, BlockQ5_1& out) {
  int codes[kBlock];
  const Fit fit = fit_affine(x, importance, kCodes5Affine);
  const float scale = put_half(out.d, fit.scale);
  nearest_codes(x, kBlock, kCodes5Affine, {scale, put_half(out.m, fit.offset)}, codes);
  put_nibbles(codes, out.qs);
  put_fifth_bits(codes, out.qh);
}

// Eight bits leave so little error that a search would gain nothing that anyone could measure.
void write_block(const float* x, const float*, BlockQ8_0& out) {
  float peak = 0;
  for (int i = 0; i < kBlock; ++i) peak = std::max(peak, std::abs(x[i]));
  const float scale = put_half(out.d, peak / 127);
  nearest_codes(x, kBlock, Codes{-127, 127, 0, 0, 0}, {scale, 0.0F}, out.qs);
}

void write_block(const float* x, const float* importance, BlockIQ4_NL& out) {
  float costs[kBlock];
  fill_costs(x, importance, kBlock, costs);
  const float scale = put_half(out.d, kernels_for_group<kBlock>().iq4(x, costs, kCodes4).scale);
  const float inverse = scale == 0 ? 0.0F : 1 / scale;
  int codes[kBlock];
  for (int i = 0; i < kBlock; ++i) codes[i] = nearest_iq4(x[i] * inverse);
  put_nibbles(codes, out.qs);
}

}  // namespace hearth::tensor::quant

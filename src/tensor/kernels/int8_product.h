// The integer product: panels of weights times 8-bit activations, once for all instruction sets.
//
// For a sub-group of 16 or 32 columns the exact integer n = sum u * q - offset * sum q is formed,
// with u the weight's byte and q the activation's; then, per row and token,
//
//   y += (n * weight_scale) * activation_scale  -  min * scaled_sum
//
// in the order of the groups, each product with one rounding.  That order and those roundings are
// the contract: they are the same for every tile shape and instruction set.
//
// Two things make the float part cheap.  The integer sum starts from `start`, which already holds
// -offset * sum q, so the offset costs nothing.  And it starts on top of kMagicBits, so the sum's
// bits *are* the float kMagic + n, and
//
//   fma(kMagic + n, weight_scale, -kMagic * weight_scale)  =  n * weight_scale, rounded once,
//
// with no conversion instruction: kMagic * weight_scale is exact, since a weight's scale is a half
// (11 bits) times an integer of at most 8 bits, and kMagic has 2.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/kernels/inline.h"
#include "tensor/kernels/panel.h"

namespace hearth::tensor {

template <class S, std::uint32_t kSubs, bool kMin, bool kWide>
struct Int8Product {
  using I = typename S::I;
  using F = typename S::F;

  // n = kMagicBits + the exact sums of one sub-group.
  template <std::uint32_t kPanels, std::uint32_t kTokens>
  HEARTH_INLINE static void integers(const PanelProduct& p, const std::int8_t* q,
                                     const std::int32_t* start, std::uint32_t sub,
                                     I (&n)[kTokens][kPanels]) {
#pragma GCC unroll 8
    for (std::uint32_t t = 0; t < kTokens; ++t) {
      const I from = S::broadcast32(start + t * p.group_stride * kSubs + sub);
#pragma GCC unroll 2
      for (std::uint32_t m = 0; m < kPanels; ++m) n[t][m] = from;
    }
    constexpr std::uint32_t kQuads = 8 / kSubs;
#pragma GCC unroll 8
    for (std::uint32_t quad = 0; quad < kQuads; ++quad) {
      const std::size_t at = std::size_t{sub} * kQuads + quad;
      I w[kPanels];
#pragma GCC unroll 2
      for (std::uint32_t m = 0; m < kPanels; ++m) w[m] = S::load(p.panels[m].quads + at * 64);
#pragma GCC unroll 8
      for (std::uint32_t t = 0; t < kTokens; ++t) {
        const I a = S::broadcast32(q + t * p.q_stride + at * 4);
#pragma GCC unroll 2
        for (std::uint32_t m = 0; m < kPanels; ++m) {
          n[t][m] = S::template dot4<kWide>(n[t][m], w[m], a);
        }
      }
    }
  }

  // A tile of kPanels panels and kTokens tokens, all groups.
  template <std::uint32_t kPanels, std::uint32_t kTokens>
  static void tile(const PanelProduct& p, std::uint32_t token) {
    const std::int8_t* q = p.q + token * p.q_stride;
    const float* scale = p.scale + token * p.group_stride;
    const std::int32_t* start = p.start + token * p.group_stride * kSubs;
    const float* scaled_sum = p.scaled_sum;
    if constexpr (kMin) scaled_sum += token * p.group_stride * kSubs;
    float* y = p.y + std::size_t{token} * kPanels * kPanelRows;

    F sum[kTokens][kPanels];
#pragma GCC unroll 8
    for (std::uint32_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (std::uint32_t m = 0; m < kPanels; ++m) {
        sum[t][m] = S::load_f(y + (t * kPanels + m) * kPanelRows);
      }
    }
    for (std::uint32_t sub = 0; sub < p.n_groups * kSubs; ++sub) {
      I n[kTokens][kPanels];
      integers<kPanels, kTokens>(p, q, start, sub, n);
#pragma GCC unroll 2
      for (std::uint32_t m = 0; m < kPanels; ++m) {
        const F ws = S::load_f(p.panels[m].scales + std::size_t{sub} * kPanelRows);
        const F magic = S::mul(ws, S::set1_f(-kMagic));
#pragma GCC unroll 8
        for (std::uint32_t t = 0; t < kTokens; ++t) {
          const F scaled = S::fma(S::as_float(n[t][m]), ws, magic);
          sum[t][m] = S::fma(scaled, S::set1_f(scale[t * p.group_stride + sub / kSubs]), sum[t][m]);
        }
        if constexpr (kMin) {
          const F min = S::load_f(p.panels[m].mins + std::size_t{sub} * kPanelRows);
#pragma GCC unroll 8
          for (std::uint32_t t = 0; t < kTokens; ++t) {
            const F sub_sum = S::set1_f(scaled_sum[t * p.group_stride * kSubs + sub]);
            sum[t][m] = S::fnma(min, sub_sum, sum[t][m]);
          }
        }
      }
    }
#pragma GCC unroll 8
    for (std::uint32_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 2
      for (std::uint32_t m = 0; m < kPanels; ++m) {
        S::store_f(y + (t * kPanels + m) * kPanelRows, sum[t][m]);
      }
    }
  }

  // The last tokens, fewer than a full tile.
  template <std::uint32_t kPanels, std::uint32_t kTokens>
  static void rest(const PanelProduct& p, std::uint32_t token) {
    if constexpr (kTokens > 0) {
      if (p.n_tokens - token == kTokens) return tile<kPanels, kTokens>(p, token);
      rest<kPanels, kTokens - 1>(p, token);
    }
  }

  template <std::uint32_t kPanels>
  static void all_tokens(const PanelProduct& p) {
    std::uint32_t token = 0;
    for (; token + S::kTileTokens <= p.n_tokens; token += S::kTileTokens) {
      tile<kPanels, S::kTileTokens>(p, token);
    }
    rest<kPanels, S::kTileTokens - 1>(p, token);
  }

  static void run(const PanelProduct& p) {
    if constexpr (S::kTilePanels == 2) {
      if (p.n_panels == 2) return all_tokens<2>(p);
    }
    all_tokens<1>(p);
  }
};

}  // namespace hearth::tensor

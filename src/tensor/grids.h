// The lattice points that weights of the IQ1, IQ2 and IQ3 types are.
//
// These types store a row as indices of points with 4 or 8 coordinates each.  Four coordinates are
// a quad (kernels/panel.h), a byte each; a point of 8 is two quads, one after the other.  IQ2 and
// IQ3 points are magnitudes, whose signs are stored apart; those of IQ1 are 8 v + kGridOffset with
// v of -1, 0 and 1, so that its eighths are integers.
//
// Plain arrays with one definition, since all instruction sets read the same ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::tensor {

// What the kernels add to a weight to make it a positive byte.
inline constexpr std::uint32_t kGridOffset = 64;

template <std::size_t kQuads>
struct Grid {
  alignas(64) std::uint32_t quads[kQuads];
};

extern const Grid<256 * 2> kGridIQ2_XXS;
extern const Grid<512 * 2> kGridIQ2_XS;
extern const Grid<1024 * 2> kGridIQ2_S;
extern const Grid<256> kGridIQ3_XXS;
extern const Grid<512> kGridIQ3_S;
extern const Grid<2048 * 2> kGridIQ1;

}  // namespace hearth::tensor

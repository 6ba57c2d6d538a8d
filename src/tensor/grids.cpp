// Unpacks the points at compile time.
#include "tensor/grids.h"

#include <cstddef>

namespace hearth::tensor {
namespace {

#include "tensor/grids.inc"

// Points of kCoordinates coordinates, each an index of kBits bits into `values`.
template <std::size_t kCoordinates, int kBits, std::size_t kPoints, std::size_t kValues>
constexpr Grid<kPoints * kCoordinates / 4> unpacked(const std::uint16_t (&points)[kPoints],
                                                    const std::uint8_t (&values)[kValues]) {
  Grid<kPoints * kCoordinates / 4> grid{};
  for (std::size_t i = 0; i < kPoints * kCoordinates; ++i) {
    const std::size_t shift = i % kCoordinates * kBits;
    const std::uint32_t index = (points[i / kCoordinates] >> shift) & ((1U << kBits) - 1);
    grid.quads[i / 4] |= std::uint32_t{values[index]} << (8 * (i % 4));
  }
  return grid;
}

constexpr std::uint8_t kValuesIQ2[] = {8, 25, 43};
constexpr std::uint8_t kValuesIQ3_XXS[] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::uint8_t kValuesIQ3_S[] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr std::uint8_t kValuesIQ1[] = {kGridOffset - 8, kGridOffset, kGridOffset + 8};

}  // namespace

constinit const Grid<256 * 2> kGridIQ2_XXS = unpacked<8, 2>(kPackedIQ2_XXS, kValuesIQ2);
constinit const Grid<512 * 2> kGridIQ2_XS = unpacked<8, 2>(kPackedIQ2_XS, kValuesIQ2);
constinit const Grid<1024 * 2> kGridIQ2_S = unpacked<8, 2>(kPackedIQ2_S, kValuesIQ2);
constinit const Grid<256> kGridIQ3_XXS = unpacked<4, 3>(kPackedIQ3_XXS, kValuesIQ3_XXS);
constinit const Grid<512> kGridIQ3_S = unpacked<4, 3>(kPackedIQ3_S, kValuesIQ3_S);
constinit const Grid<2048 * 2> kGridIQ1 = unpacked<8, 2>(kPackedIQ1_S, kValuesIQ1);

}  // namespace hearth::tensor

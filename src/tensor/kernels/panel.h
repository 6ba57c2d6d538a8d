// The form in which the integer products read weights: panels of 16 rows.
//
// A stored row has its weights one after another, in whatever bits its type uses.  The products
// want 16 rows side by side, one per 32-bit lane, four consecutive weights as the lane's four bytes
// (a "quad"): then one vpdpbusd adds four products to each of 16 rows, the activations are a
// broadcast, scales are a vector, and nothing is ever summed across lanes.
//
//   quads  [n_groups][8][16 rows][4]   unsigned bytes u, so that weight = scale * (u - offset) -
//   min scales [n_groups][subs][16 rows]   per group of 32 weights, or two of 16 (subs = 2) mins
//   the same shape; only for types that have them
//
// Unpacking is the same work for one token and for 512.  A decode step unpacks 256 columns of 16
// rows into the first-level cache and uses them once, at a cost that hides behind the memory's;
// a prefill step unpacks more and uses it for every token of its chunk.  One unpacker per type and
// one product serve both, which is why a token's result can't depend on its batch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/weight_layout.h"

namespace hearth::tensor {

inline constexpr std::uint32_t kPanelRows = 16;
inline constexpr std::uint32_t kGroupCols = 32;
inline constexpr std::size_t kGroupQuadBytes = kPanelRows * kGroupCols;

struct Panel {
  std::uint8_t* quads;
  float* scales;
  float* mins;
};

// What the products need to know about a quantised type.
struct QuantTraits {
  DType type;
  std::uint32_t block_cols;  // 32 or 256.
  std::uint32_t subs;        // Scales per group of 32.
  bool has_min;
  std::int32_t offset;
};

// nullptr for a type that is not quantised.
const QuantTraits* quant_traits(DType type);

// Unpacks `n_blocks` blocks of each of 16 rows, the first at `block`, the rows `row_stride` bytes
// apart (under kRowBytesMax; ignored where they are packed), into `panel`.  Meanwhile prefetches as many bytes from the address
// `ahead` on as it reads; that address need not be mapped.
using UnpackFn = void (*)(const std::byte* block, std::size_t row_stride, std::uint32_t n_blocks,
                          const Panel& panel, std::uintptr_t ahead);

// Row offsets within a panel are 32-bit numbers in the gathers.
inline constexpr std::size_t kRowBytesMax = std::size_t{1} << 26;

// A float whose last mantissa bit weighs 1: adding an integer to its bits, while the sum stays
// within 2^22 of it, adds the integer to its value.  See int8_product.h.
inline constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23
inline constexpr std::int32_t kMagicBits = 0x4B400000;

// One product of panels and quantised activations.  Pointers are to the first group; token strides
// are in elements.
struct PanelProduct {
  const Panel* panels = nullptr;  // n_panels of them, 1 or 2.
  std::uint32_t n_panels = 1;
  std::uint32_t n_groups = 0;
  std::uint32_t n_tokens = 0;
  const std::int8_t* q = nullptr;  // [n_tokens, q_stride]
  std::size_t q_stride = 0;
  const float* scale = nullptr;  // [n_tokens, group_stride]: of a group of 32 activations
  std::size_t group_stride = 0;
  // [n_tokens, group_stride * subs]: kMagicBits - offset * (sum of the sub-group's q).
  const std::int32_t* start = nullptr;
  // The same shape: scale * (sum of the sub-group's q).  Only for types with a min.
  const float* scaled_sum = nullptr;
  float* y = nullptr;  // [n_tokens, n_panels, 16]: added to.
};

// The same for one token and one panel straight from its rows' blocks, quads never leaving the
// registers.
struct PanelDot {
  const std::byte* block = nullptr;  // As for UnpackFn.
  std::size_t row_stride = 0;
  std::uint32_t n_blocks = 0;
  std::uintptr_t ahead = 0;
  const std::int8_t* q = nullptr;  // From here on as in PanelProduct.
  const float* scale = nullptr;
  const std::int32_t* start = nullptr;
  const float* scaled_sum = nullptr;
  float* y = nullptr;  // [16]: added to.
};

using PanelDotFn = void (*)(const PanelDot& dot);

// What reads a type's weights in one layout.
struct PanelFunctions {
  UnpackFn unpack;
  PanelDotFn dot;  // nullptr where unpacking and PanelProduct serve one token as well.
};

using PanelProductFn = void (*)(const PanelProduct& product);

}  // namespace hearth::tensor

// The bits of a Q6_K block in an order that costs a product less.
//
// A file keeps a weight's low four bits and its high two apart: to join them takes a shift, two
// masks and an `or` for every four weights.  Arranged, three of four dwords hold their six bits
// whole, and the fourth's lie in the two bits that those three leave free:
//
//   dword 3 s + k, k < 3   byte j: weight 16 s + 4 k + j in bits 0-5,
//                          bits 4-2k and 5-2k of weight 16 s + 12 + j in bits 6-7
//
// for sub-groups s in [0, 16); then the 16 scales and d, as in a file.  210 bytes like before: a
// permutation of bits, undone without loss.
#pragma once

#include <cstddef>

namespace hearth::tensor {

inline constexpr std::size_t kQ6KBytes = 210;

// block, out [kQ6KBytes] each, not overlapping.
void arrange_q6_k(const std::byte* block, std::byte* out);
void restore_q6_k(const std::byte* arranged, std::byte* out);

}  // namespace hearth::tensor

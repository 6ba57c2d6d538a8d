// Weights in the kernels' own layout: panels of 16 rows, transposed once instead of at each use.
//
// A quantised row is blocks, a block is fields of dwords, halves or bytes.  Packed, the 16 rows of
// a panel lie side by side: for each block, field by field, element by element, the 16 rows'
// elements. So the element at byte `o` of row r's block is found at 16 * o + r * (its size), a
// panel takes as many bytes as before, and a product reads memory in one stream, with no shuffles:
// what limits the decoding of a file as it lies.  Q6_K has its bits in another order besides
// (arrange_q6_k.h).  Results are the same to the bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/matmul.h"

namespace hearth::tensor {

// Raised with every change of the packed layout: packs on disk carry it, and those of another
// version are refused instead of misread.
inline constexpr std::uint32_t kPackedLayoutVersion = 2;

// Whether a matrix can be packed: quantised, of whole panels, not packed already.
bool can_pack(const MatView& w);

// out [w.bytes()] = the packed form of w, which must be can_pack.  Returns its view.
MatView pack(const MatView& w, std::byte* out, ThreadPool& pool);

// out [block bytes of `type`] = one row's block out of a packed panel's block.
void unpack_block(DType type, const std::byte* packed_block, std::uint32_t row, std::byte* out);

}  // namespace hearth::tensor

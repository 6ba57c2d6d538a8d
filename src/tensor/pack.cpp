#include "tensor/pack.h"

#include <array>
#include <cstring>
#include <span>

#include "base/result.h"
#include "tensor/arrange_q6_k.h"
#include "tensor/kernels/panel.h"

namespace hearth::tensor {
namespace {

// Elements of one size, one after another within a block (tensor/blocks.h).
struct Field {
  std::uint32_t offset, bytes, element_bytes;
};

struct BlockFields {
  DType type;
  std::array<Field, 3> fields;
  // Where the bits of a row's block are put in another order first, and back.
  void (*arrange)(const std::byte* block, std::byte* out) = nullptr;
  void (*restore)(const std::byte* arranged, std::byte* out) = nullptr;
};

constexpr BlockFields kBlocks[] = {
    {DType::kQ4_0, {{{0, 2, 2}, {2, 16, 4}}}},
    {DType::kQ4_1, {{{0, 20, 4}}}},
    {DType::kQ5_0, {{{0, 2, 2}, {2, 20, 4}}}},
    {DType::kQ5_1, {{{0, 24, 4}}}},
    {DType::kQ8_0, {{{0, 2, 2}, {2, 32, 4}}}},
    {DType::kQ2_K, {{{0, 84, 4}}}},
    {DType::kQ3_K, {{{0, 108, 4}, {108, 2, 2}}}},
    {DType::kQ4_K, {{{0, 144, 4}}}},
    {DType::kQ5_K, {{{0, 176, 4}}}},
    {DType::kQ6_K, {{{0, 192, 4}, {192, 16, 1}, {208, 2, 2}}}, arrange_q6_k, restore_q6_k},
    {DType::kIQ4_NL, {{{0, 2, 2}, {2, 16, 4}}}},
    {DType::kIQ4_XS, {{{0, 136, 4}}}},
    {DType::kMXFP4, {{{0, 1, 1}, {1, 16, 4}}}},
    {DType::kIQ2_XXS, {{{0, 2, 2}, {2, 64, 4}}}},
    {DType::kIQ2_XS, {{{0, 2, 2}, {2, 72, 4}}}},
    {DType::kIQ2_S, {{{0, 2, 2}, {2, 80, 4}}}},
    {DType::kIQ3_XXS, {{{0, 2, 2}, {2, 96, 4}}}},
    {DType::kIQ3_S, {{{0, 2, 2}, {2, 108, 4}}}},
    {DType::kIQ1_S, {{{0, 2, 2}, {2, 48, 4}}}},
    {DType::kIQ1_M, {{{0, 56, 4}}}},
    {DType::kTQ1_0, {{{0, 52, 4}, {52, 2, 2}}}},
    {DType::kTQ2_0, {{{0, 64, 4}, {64, 2, 2}}}},
};

const BlockFields& fields_of(DType type) {
  for (const BlockFields& block : kBlocks) {
    if (block.type == type) return block;
  }
  check_failed("every quantised type has its fields");
}

// Calls move(byte in a row's block, byte in the packed block, bytes) for each element of row `row`.
template <class Move>
void each_element(const BlockFields& block, std::uint32_t row, Move&& move) {
  for (const Field& field : block.fields) {
    for (std::uint32_t at = 0; at < field.bytes; at += field.element_bytes) {
      const std::uint32_t offset = field.offset + at;
      move(offset, offset * kPanelRows + row * field.element_bytes, field.element_bytes);
    }
  }
}

// Elements of a size that the compiler knows are moved by one instruction each.
template <std::size_t kBytes>
void pack_field(const Field& field, const std::byte* rows, std::size_t row_stride, std::byte* out) {
  for (std::uint32_t at = field.offset; at < field.offset + field.bytes; at += kBytes) {
    for (std::uint32_t row = 0; row < kPanelRows; ++row) {
      std::memcpy(out + at * kPanelRows + row * kBytes, rows + row * row_stride + at, kBytes);
    }
  }
}

// Of the types that arrange their bits.
constexpr std::size_t kArrangedMax = kQ6KBytes;

void pack_block(const BlockFields& block, const std::byte* rows, std::size_t row_stride,
                std::byte* out) {
  std::byte arranged[kPanelRows * kArrangedMax];
  if (block.arrange != nullptr) {
    const std::size_t bytes = dtype_info(block.type).block_bytes;
    for (std::uint32_t row = 0; row < kPanelRows; ++row) {
      block.arrange(rows + row * row_stride, arranged + row * bytes);
    }
    rows = arranged;
    row_stride = bytes;
  }
  for (const Field& field : block.fields) {
    if (field.element_bytes == 4) pack_field<4>(field, rows, row_stride, out);
    if (field.element_bytes == 2) pack_field<2>(field, rows, row_stride, out);
    if (field.element_bytes == 1) pack_field<1>(field, rows, row_stride, out);
  }
}

}  // namespace

bool can_pack(const MatView& w) {
  return w.layout == WeightLayout::kRows && quant_traits(w.type) != nullptr &&
         w.rows % kPanelRows == 0;
}

MatView pack(const MatView& w, std::byte* out, ThreadPool& pool) {
  HEARTH_CHECK(can_pack(w));
  const BlockFields& block = fields_of(w.type);
  const std::size_t block_bytes = dtype_info(w.type).block_bytes;
  const std::size_t row_stride = row_bytes(w.type, w.cols);
  pool.run(w.rows / kPanelRows, [&](std::uint32_t panel) {
    const std::byte* const rows = w.data + panel * kPanelRows * row_stride;
    std::byte* const to = out + panel * kPanelRows * row_stride;
    for (std::size_t at = 0; at < row_stride; at += block_bytes) {
      pack_block(block, rows + at, row_stride, to + at * kPanelRows);
    }
  });
  return {w.type, w.rows, w.cols, out, WeightLayout::kPacked};
}

void unpack_block(DType type, const std::byte* packed_block, std::uint32_t row, std::byte* out) {
  const BlockFields& block = fields_of(type);
  std::byte arranged[kArrangedMax];
  std::byte* const bytes_of_row = block.restore == nullptr ? out : arranged;
  each_element(block, row, [&](std::uint32_t to, std::uint32_t from, std::uint32_t bytes) {
    std::memcpy(bytes_of_row + to, packed_block + from, bytes);
  });
  if (block.restore != nullptr) block.restore(arranged, out);
}

}  // namespace hearth::tensor

// Small matrices beside the large ones: an adapter's A and B, of which a row of the batch needs
// all, and another row perhaps another adapter's.  So each weight is used once or a few times, and
// what takes the time is to bring it in from memory.
//
// They are kept in the order in which they are read, as one stream: panels of 16 outputs; for every
// 32 inputs (the last group may have fewer) the 16 outputs' scales in half precision, where the
// weights have 8 bits, then input by input the 16 outputs' weights.  Lanes are outputs: no sums
// across lanes, and no short rows at which the hardware's prefetchers would start anew.
//
// A matrix of at most 8 outputs, the A of a low rank, is folded so that it fills the lanes: its
// inputs are cut into 2 or 4 parts of equal length, lanes 8 to 15 (or each four) have the same
// outputs' weights of the next part, and a product's sums of the parts are added at its end.
//
// Activations stay floats.  Each output is summed in an order that depends on the matrix's shape
// alone, so neither the batch nor the instruction set changes a bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/float_formats.h"

namespace hearth::tensor {

inline constexpr std::uint32_t kStreamPanelRows = 16;
inline constexpr std::uint32_t kStreamGroupCols = 32;

enum class StreamType : std::uint8_t {
  kF16,
  kInt8,  // Under a scale per output and group: 8.5 bits a weight, errors as Q8_0's.
};

// A borrowed matrix W [rows, cols] in that order.
struct PanelStream {
  StreamType type = StreamType::kF16;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  const std::byte* data = nullptr;

  std::uint32_t n_panels() const { return (rows + kStreamPanelRows - 1) / kStreamPanelRows; }
};

std::size_t stream_bytes(StreamType type, std::uint32_t rows, std::uint32_t cols);

// out [stream_bytes] = w [rows, cols]; values beyond half precision's largest become that.
void write_stream(StreamType type, const float* w, std::uint32_t rows, std::uint32_t cols,
                  std::byte* out);

// One row of the batch: x [cols] and y [rows].
struct StreamRow {
  const float* x = nullptr;
  float* y = nullptr;
};

// For panels [first, first + n) of w and each row: y = w x, or with `adds` y += w x.
//
// Threading: pure; any thread.
void multiply_stream(const PanelStream& w, std::uint32_t first, std::uint32_t n,
                     std::span<const StreamRow> rows, bool adds);

}  // namespace hearth::tensor

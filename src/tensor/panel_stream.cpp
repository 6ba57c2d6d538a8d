#include "tensor/panel_stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/isa.h"
#include "tensor/kernels/stream_product.h"

namespace hearth::tensor {
namespace {

constexpr std::size_t kScaleBytes = kStreamPanelRows * sizeof(F16);

// Into how many parts the inputs of so many outputs are folded: as many as fill the lanes.
std::uint32_t parts_of(std::uint32_t rows, std::uint32_t cols) {
  if (rows <= 4 && cols % 4 == 0) return 4;
  return rows <= 8 && cols % 2 == 0 ? 2 : 1;
}

// Writes `n` inputs of each lane of a panel.
class GroupWriter {
 public:
  // `w`: the first input of the panel's first output; `rows`: outputs that there are from that one
  // on.
  GroupWriter(const float* w, std::uint32_t cols, std::uint32_t rows, std::uint32_t parts,
              std::uint32_t n)
      : n_(n) {
    const std::uint32_t outputs = kStreamPanelRows / parts;
    for (std::uint32_t lane = 0; lane < kStreamPanelRows; ++lane) {
      const std::uint32_t row = lane % outputs;
      if (row < rows) lanes_[lane] = w + std::size_t{row} * cols + lane / outputs * (cols / parts);
    }
  }

  std::byte* write_f16(std::byte* out) const {
    for (std::uint32_t k = 0; k < n_; ++k) {
      for (std::uint32_t lane = 0; lane < kStreamPanelRows; ++lane, out += sizeof(F16)) {
        const F16 half = f16_from_f32(at(lane, k));
        std::memcpy(out, &half, sizeof half);
      }
    }
    return out;
  }

  std::byte* write_int8(std::byte* out) const {
    float inverse[kStreamPanelRows];
    for (std::uint32_t lane = 0; lane < kStreamPanelRows; ++lane, out += sizeof(F16)) {
      float largest = 0;
      for (std::uint32_t k = 0; k < n_; ++k) largest = std::max(largest, std::abs(at(lane, k)));
      const F16 half = f16_from_f32(std::min(largest / 127, kHalfMax));
      const float scale = f32_from_f16(half);
      inverse[lane] = scale == 0 ? 0 : 1 / scale;
      std::memcpy(out, &half, sizeof half);
    }
    for (std::uint32_t k = 0; k < n_; ++k) {
      for (std::uint32_t lane = 0; lane < kStreamPanelRows; ++lane, ++out) {
        const float code = std::clamp(std::nearbyint(at(lane, k) * inverse[lane]), -127.0F, 127.0F);
        *out = static_cast<std::byte>(static_cast<std::int8_t>(code));
      }
    }
    return out;
  }

 private:
  static constexpr float kHalfMax = 65504.0F;
  float at(std::uint32_t lane, std::uint32_t k) const {
    return lanes_[lane] == nullptr ? 0 : std::clamp(lanes_[lane][k], -kHalfMax, kHalfMax);
  }

  const float* lanes_[kStreamPanelRows] = {};  // Null where there is no such output.
  std::uint32_t n_;
};

// Of one panel, each of whose lanes has `cols` inputs.
std::size_t panel_bytes(StreamType type, std::uint32_t cols) {
  if (type == StreamType::kF16) return std::size_t{cols} * kStreamPanelRows * sizeof(F16);
  const std::size_t n_groups = (cols + kStreamGroupCols - 1) / kStreamGroupCols;
  return n_groups * kScaleBytes + std::size_t{cols} * kStreamPanelRows;
}

StreamProductFn stream_product(StreamType type, std::uint32_t parts) {
#if defined(__x86_64__)
  if (selected_isa() == Isa::kAvx512) return stream_product_avx512(type, parts);
  if (selected_isa() == Isa::kAvx2) return stream_product_avx2(type, parts);
#endif
  return stream_product_scalar(type, parts);
}

}  // namespace

std::size_t stream_bytes(StreamType type, std::uint32_t rows, std::uint32_t cols) {
  const std::size_t n_panels = (rows + kStreamPanelRows - 1) / kStreamPanelRows;
  return n_panels * panel_bytes(type, cols / parts_of(rows, cols));
}

void write_stream(StreamType type, const float* w, std::uint32_t rows, std::uint32_t cols,
                  std::byte* out) {
  const std::uint32_t parts = parts_of(rows, cols);
  const std::uint32_t lane_cols = cols / parts;
  for (std::uint32_t row = 0; row < rows; row += kStreamPanelRows) {
    for (std::uint32_t col = 0; col < lane_cols; col += kStreamGroupCols) {
      const GroupWriter group(w + std::size_t{row} * cols + col, cols, rows - row, parts,
                              std::min(kStreamGroupCols, lane_cols - col));
      out = type == StreamType::kF16 ? group.write_f16(out) : group.write_int8(out);
    }
  }
}

void multiply_stream(const PanelStream& w, std::uint32_t first, std::uint32_t n,
                     std::span<const StreamRow> rows, bool adds) {
  if (n == 0 || rows.empty()) return;
  const std::uint32_t parts = parts_of(w.rows, w.cols);
  const std::size_t bytes = panel_bytes(w.type, w.cols / parts);
  stream_product(w.type, parts)({.panel = w.data + first * bytes,
                                 .panel_bytes = bytes,
                                 .n_panels = n,
                                 .cols = w.cols / parts,
                                 .rows = rows.data(),
                                 .n_rows = rows.size(),
                                 .y_first = first * kStreamPanelRows,
                                 .y_end = w.rows,
                                 .adds = adds});
}

}  // namespace hearth::tensor

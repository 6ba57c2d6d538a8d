#include "tensor/panel_stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/isa.h"
#include "tensor/kernels/stream_product.h"

namespace hearth::tensor {
namespace {

constexpr std::size_t kScaleBytes = kStreamPanelRows * sizeof(F16);

// Writes `n` inputs of one panel of `rows` outputs, w's rows at a distance of `cols`.
class GroupWriter {
 public:
  GroupWriter(const float* w, std::uint32_t cols, std::uint32_t rows, std::uint32_t n)
      : w_(w), cols_(cols), rows_(rows), n_(n) {}

  std::byte* write_f16(std::byte* out) const {
    for (std::uint32_t k = 0; k < n_; ++k) {
      for (std::uint32_t r = 0; r < kStreamPanelRows; ++r, out += sizeof(F16)) {
        const F16 half = f16_from_f32(at(r, k));
        std::memcpy(out, &half, sizeof half);
      }
    }
    return out;
  }

  std::byte* write_int8(std::byte* out) const {
    float inverse[kStreamPanelRows];
    for (std::uint32_t r = 0; r < kStreamPanelRows; ++r, out += sizeof(F16)) {
      float largest = 0;
      for (std::uint32_t k = 0; k < n_; ++k) largest = std::max(largest, std::abs(at(r, k)));
      const F16 half = f16_from_f32(std::min(largest / 127, kHalfMax));
      const float scale = f32_from_f16(half);
      inverse[r] = scale == 0 ? 0 : 1 / scale;
      std::memcpy(out, &half, sizeof half);
    }
    for (std::uint32_t k = 0; k < n_; ++k) {
      for (std::uint32_t r = 0; r < kStreamPanelRows; ++r, ++out) {
        const float code = std::clamp(std::nearbyint(at(r, k) * inverse[r]), -127.0F, 127.0F);
        *out = static_cast<std::byte>(static_cast<std::int8_t>(code));
      }
    }
    return out;
  }

 private:
  static constexpr float kHalfMax = 65504.0F;
  float at(std::uint32_t r, std::uint32_t k) const {
    if (r >= rows_) return 0;
    return std::clamp(w_[std::size_t{r} * cols_ + k], -kHalfMax, kHalfMax);
  }

  const float* w_;
  std::uint32_t cols_, rows_, n_;
};

StreamProductFn stream_product(StreamType type) {
#if defined(__x86_64__)
  if (selected_isa() == Isa::kAvx512) return stream_product_avx512(type);
  if (selected_isa() == Isa::kAvx2) return stream_product_avx2(type);
#endif
  return stream_product_scalar(type);
}

}  // namespace

std::size_t stream_panel_bytes(StreamType type, std::uint32_t cols) {
  if (type == StreamType::kF16) return std::size_t{cols} * kStreamPanelRows * sizeof(F16);
  const std::size_t n_groups = (cols + kStreamGroupCols - 1) / kStreamGroupCols;
  return n_groups * kScaleBytes + std::size_t{cols} * kStreamPanelRows;
}

std::size_t stream_bytes(StreamType type, std::uint32_t rows, std::uint32_t cols) {
  const std::size_t n_panels = (rows + kStreamPanelRows - 1) / kStreamPanelRows;
  return n_panels * stream_panel_bytes(type, cols);
}

void write_stream(StreamType type, const float* w, std::uint32_t rows, std::uint32_t cols,
                  std::byte* out) {
  for (std::uint32_t row = 0; row < rows; row += kStreamPanelRows) {
    for (std::uint32_t col = 0; col < cols; col += kStreamGroupCols) {
      const GroupWriter group(w + std::size_t{row} * cols + col, cols,
                              std::min(kStreamPanelRows, rows - row),
                              std::min(kStreamGroupCols, cols - col));
      out = type == StreamType::kF16 ? group.write_f16(out) : group.write_int8(out);
    }
  }
}

void multiply_stream(const PanelStream& w, std::uint32_t first, std::uint32_t n,
                     std::span<const StreamRow> rows, bool adds) {
  if (n == 0 || rows.empty()) return;
  const std::size_t panel_bytes = stream_panel_bytes(w.type, w.cols);
  stream_product(w.type)({.panel = w.data + first * panel_bytes,
                          .panel_bytes = panel_bytes,
                          .n_panels = n,
                          .cols = w.cols,
                          .rows = rows.data(),
                          .n_rows = rows.size(),
                          .y_first = first * kStreamPanelRows,
                          .y_end = w.rows,
                          .adds = adds});
}

}  // namespace hearth::tensor

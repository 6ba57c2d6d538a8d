// What is inside Activations: each form that a product may ask for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/aligned_buffer.h"
#include "tensor/kernels/panel.h"
#include "tensor/matmul.h"

namespace hearth::tensor {

struct Activations::State {
  std::uint32_t n_tokens = 0;
  std::uint32_t cols = 0;

  // Floats, for weights that are: [n_tokens, x_stride], zero beyond cols.
  bool has_floats = false;
  std::size_t x_stride = 0;
  AlignedBuffer<float> x;

  // 8 bits in groups of 32, for quantised weights (kernels/quantize.h).
  bool has_int8 = false;
  std::size_t n_groups = 0;
  AlignedBuffer<std::int8_t> q;         // [n_tokens, cols]
  AlignedBuffer<float> scale;           // [n_tokens, n_groups]
  AlignedBuffer<std::int32_t> sums_16;  // [n_tokens, n_groups * 2]

  // What panel.h calls `start` and `scaled_sum`, for those (subs, offset) that types have.
  struct Start {
    std::uint32_t subs;
    std::int32_t offset;
    bool wanted = false;
    AlignedBuffer<std::int32_t> values;  // [n_tokens, n_groups * subs]
  };
  Start starts[9] = {{1, 0}, {1, 8}, {1, 16}, {1, 64}, {1, 128}, {2, 0}, {2, 4}, {2, 32}, {2, 64}};
  struct ScaledSum {
    std::uint32_t subs;
    bool wanted = false;
    AlignedBuffer<float> values;
  };
  ScaledSum scaled_sums[2] = {{1}, {2}};

  Start& start(const QuantTraits& traits);
  const Start& start(const QuantTraits& traits) const;
};

}  // namespace hearth::tensor

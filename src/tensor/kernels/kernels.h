// The table of kernels, one per instruction set, chosen once at run time.
//
// The rest of the room calls through it; tests call every table that the machine can run and
// compare them bit for bit with the scalar one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/float_formats.h"
#include "tensor/isa.h"
#include "tensor/kernels/panel.h"

namespace hearth::tensor {

// One product of float weights (F32, F16, BF16) and activations.
struct FloatProduct {
  const std::byte* w = nullptr;  // [n_rows, cols] in the kernel's type
  std::size_t row_stride = 0;    // Bytes.
  std::uint32_t n_rows = 0;
  std::uint32_t cols = 0;
  const float* x = nullptr;  // [n_tokens, x_stride]; 0 from cols to the next multiple of 16.
  std::size_t x_stride = 0;
  std::uint32_t n_tokens = 0;
  float* y = nullptr;  // [n_tokens, y_stride]
  std::size_t y_stride = 0;
  float* scratch = nullptr;  // kDotScratchFloats; not needed up to kDotFewTokens.
};
inline constexpr std::uint32_t kDotFewTokens = 8;     // Read the rows as they are up to so many.
inline constexpr std::uint32_t kDotTaskRows = 32;     // n_rows at most, beyond kDotFewTokens.
inline constexpr std::uint32_t kDotTaskTokens = 192;  // Whose sums are kept at a time.
inline constexpr std::uint32_t kDotChunkCols = 512;
inline constexpr std::uint32_t kDotRowsMax = 8;  // Rows of the largest register tile.
inline constexpr std::size_t kDotScratchFloats =
    std::size_t{kDotRowsMax} * kDotChunkCols + std::size_t{kDotTaskTokens} * kDotTaskRows * 16;
using FloatProductFn = void (*)(const FloatProduct& product);

struct Kernels {
  Isa isa;
  std::uint32_t tile_panels;  // Panels that a PanelProduct takes at most.

  // Null functions for types that are not quantised.
  PanelFunctions (*panel_functions)(DType type, WeightLayout layout);
  PanelProductFn (*panel_product)(DType type);
  FloatProductFn (*float_product)(DType type);  // nullptr for types that are quantised.

  // One row of n (a multiple of 32) activations: q and scale per group of 32, the sums of q per 16.
  void (*quantize)(const float* x, std::uint32_t n, std::int8_t* q, float* scale,
                   std::int32_t* sums_16);

  float (*dot)(const float* x, const float* y, std::size_t n);
  void (*rms_norm)(const float* x, const float* weight, std::size_t n, float eps, float* out);
  void (*softmax)(float* x, std::size_t n);
  void (*silu_mul)(const float* gate, const float* up, std::size_t n, float* out);
  void (*gelu_mul)(const float* gate, const float* up, std::size_t n, float* out);
  void (*clamped_swiglu)(const float* gate, const float* up, std::size_t n, float* out);
  void (*softcap)(float* x, std::size_t n, float cap);
  void (*add)(const float* x, std::size_t n, float* y);
  void (*sum_rows)(const float* rows, std::size_t n_rows, std::size_t n, const float* weights,
                   float* out);
  void (*scan_rows)(float* rows, std::size_t n_rows, std::size_t n, float decay,
                    const float* learns, const float* value, const float* reads, float* out);
  void (*f32_from_f16)(const F16* in, std::size_t n, float* out);
  void (*f16_from_f32)(const float* in, std::size_t n, F16* out);
  void (*dot_f16_rows)(const F16* rows, std::size_t n_rows, const float* x, std::size_t n,
                       float* out);
  void (*add_weighted_f16_rows)(const F16* rows, std::size_t n_rows, const float* weights,
                                std::size_t n, float* y);

  // See kernels/probes.h.
  std::uint32_t (*read_probe)(const std::byte* p, std::size_t n);
  std::uint32_t (*int8_probe)(std::uint64_t rounds, std::uint32_t seed, std::uint64_t* ops);
  float (*f32_probe)(std::uint64_t rounds, float seed, std::uint64_t* ops);
};

// The table in use.
const Kernels& kernels();

// The table of one instruction set; nullptr if this build or this machine does not have it.
const Kernels* kernels_for(Isa isa);

}  // namespace hearth::tensor

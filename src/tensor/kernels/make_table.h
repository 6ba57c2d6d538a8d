// Fills a table of kernels from a Simd type.
#pragma once

#include "tensor/kernels/float_product.h"
#include "tensor/kernels/int8_product.h"
#include "tensor/kernels/kernels.h"
#include "tensor/kernels/probes.h"
#include "tensor/kernels/quantize.h"
#include "tensor/kernels/unpack.h"
#include "tensor/kernels/vector_kernels.h"

namespace hearth::tensor {

template <class S>
PanelProductFn find_panel_product(DType type) {
  switch (type) {
    case DType::kQ8_0:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
    case DType::kMXFP4:
      return Int8Product<S, 1, false, true>::run;
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kIQ2_XXS:
    case DType::kIQ3_XXS:
    case DType::kIQ3_S:
    case DType::kIQ1_S:
    case DType::kTQ1_0:
    case DType::kTQ2_0:
      return Int8Product<S, 1, false, false>::run;
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return Int8Product<S, 1, true, false>::run;
    case DType::kQ3_K:
    case DType::kQ6_K:
    case DType::kIQ2_XS:
    case DType::kIQ2_S:
    case DType::kIQ1_M:
      return Int8Product<S, 2, false, false>::run;
    case DType::kQ2_K:
      return Int8Product<S, 2, true, false>::run;
    default:
      return nullptr;
  }
}

template <class S>
FloatProductFn find_float_product(DType type) {
  switch (type) {
    case DType::kF32:
      return FloatRows<S, FromF32<S>>::run;
    case DType::kF16:
      return FloatRows<S, FromF16<S>>::run;
    case DType::kBF16:
      return FloatRows<S, FromBF16<S>>::run;
    default:
      return nullptr;
  }
}

template <class S>
constexpr Kernels make_table(Isa isa) {
  return {
      .isa = isa,
      .tile_panels = S::kTilePanels,
      .panel_functions = Unpacker<S>::find,
      .panel_product = find_panel_product<S>,
      .float_product = find_float_product<S>,
      .quantize = quantize_row<S>,
      .dot = VectorKernels<S>::dot,
      .rms_norm = VectorKernels<S>::rms_norm,
      .softmax = VectorKernels<S>::softmax,
      .silu_mul = VectorKernels<S>::silu_mul,
      .gelu_mul = VectorKernels<S>::gelu_mul,
      .clamped_swiglu = VectorKernels<S>::clamped_swiglu,
      .softcap = VectorKernels<S>::softcap,
      .add = VectorKernels<S>::add,
      .sum_rows = VectorKernels<S>::sum_rows,
      .scan_rows = VectorKernels<S>::scan_rows,
      .f32_from_f16 = VectorKernels<S>::f32_from_f16,
      .f16_from_f32 = VectorKernels<S>::f16_from_f32,
      .dot_f16_rows = VectorKernels<S>::dot_f16_rows,
      .add_weighted_f16_rows = VectorKernels<S>::add_weighted_f16_rows,
      .read_probe = Probes<S>::read,
      .int8_probe = Probes<S>::int8,
      .f32_probe = Probes<S>::f32,
  };
}

}  // namespace hearth::tensor

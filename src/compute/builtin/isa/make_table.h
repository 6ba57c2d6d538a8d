// Fills the table of one instruction set from the loops, for its two classes of vectors.
#pragma once

#include "compute/builtin/isa/elementwise_loops.h"
#include "compute/builtin/isa/gemm_tile.h"
#include "compute/builtin/isa/kernel_table.h"
#include "compute/builtin/isa/reduce_loops.h"
#include "compute/builtin/isa/stencil_loops.h"

namespace hearth::compute {

template <class S, int kRows>
HEARTH_INLINE constexpr void set_tiles(GemmLoops<typename S::T>& loops, int first_row) {
  for (int rows = first_row; rows <= kRows; ++rows) {
    loops.tiles[rows - 1][0] = gemm_tile<S, kRows, 1>;
    loops.tiles[rows - 1][1] = gemm_tile<S, kRows, 2>;
    loops.tiles[rows - 1][2] = gemm_tile<S, kRows, 3>;
  }
}

template <class S>
HEARTH_INLINE constexpr GemmLoops<typename S::T> make_gemm() {
  GemmLoops<typename S::T> loops;
  loops.lanes = S::kLanes;
  loops.tile_rows = S::kTileRows;
  loops.tile_vectors = S::kTileVectors;
  set_tiles<S, 1>(loops, 1);
  set_tiles<S, 2>(loops, 2);
  set_tiles<S, 4>(loops, 3);
  if constexpr (S::kTileRows == 8) set_tiles<S, 8>(loops, 5);
  loops.gemv = gemv<S>;
  return loops;
}

template <class S>
void fence() {
  S::fence();
}

template <class F32, class F64>
HEARTH_INLINE constexpr KernelTable make_table(tensor::Isa isa) {
  KernelTable table;
  table.isa = isa;
  table.gemm_f32 = make_gemm<F32>();
  table.gemm_f64 = make_gemm<F64>();
  set_elementwise<F32, Mul, Add, Axpy, Scale, Exp, Tanh, Sigmoid, Gelu>(table.elementwise_f32);
  set_elementwise<F64, Mul, Add, Axpy, Scale>(table.elementwise_f64);
  table.reduce_f32 = {sum_widened<F64>, dot_widened<F64>, extremes<F32>};
  table.reduce_f64 = {sum_compensated<F64>, dot_compensated<F64>, extremes<F64>};
  table.stencil = {jacobi_cells<F64>, jacobi_rows<F64>, jacobi_block<F64>, sor_cells<F64>};
  table.fence = fence<F64>;
  return table;
}

}  // namespace hearth::compute

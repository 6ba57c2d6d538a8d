// The inner loops of the built-in kernels: a table per instruction set, chosen once at run time.
//
// All of them make the same bits (vector_scalar.h), so the choice changes speed alone.  The tables
// hold loops over rows and pieces that fit the caches; what cuts the work into pieces and hands them
// to threads is compiled once, outside of this folder.
//
// Addresses are those of elements; lengths, strides and counts are in elements and may be 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tensor/isa.h"

namespace hearth::compute {

// c[n_rows, n_cols] = a[n_rows, k] b[k, n_cols], or c + it.  Rows of b can be read to the end of the
// tile's last vector, whatever n_cols is.
template <class T>
struct GemmTile {
  std::int64_t k = 0;
  const T* a = nullptr;
  std::int64_t a_stride = 0;
  const T* b = nullptr;
  std::int64_t b_stride = 0;
  T* c = nullptr;
  std::int64_t c_stride = 0;
  std::int64_t n_rows = 0;  // At least 1, at most the tile's.
  std::int64_t n_cols = 0;  // More than all vectors but the last hold.
  bool add = false;
  // Whether c and what is next are fetched on the way.  Where all lies in the second-level cache
  // this costs 1 %.
  bool is_far = false;
  // Lines that the second-level cache shall have by the tile's end.
  const std::byte* next = nullptr;
  std::int64_t next_lines = 0;
};

inline constexpr int kTileRowsMax = 8;
inline constexpr int kTileVectorsMax = 3;

template <class T>
struct GemmLoops {
  using TileFn = void (*)(const GemmTile<T>& tile);

  int lanes = 0;         // Columns of a vector.
  int tile_rows = 0;     // Of the largest tile.
  int tile_vectors = 0;  // Of the largest tile.
  // [rows - 1][vectors - 1]: the smallest tile with at least so many rows.
  TileFn tiles[kTileRowsMax][kTileVectorsMax] = {};
  // out[n_rows] = a[n_rows, n] x[n].
  void (*gemv)(const T* a, std::int64_t a_stride, const T* x, std::int64_t n, std::int64_t n_rows,
               T* out) = nullptr;
};

// What elementwise kernels compute from in, a second input and a factor.
enum class Elementwise : std::uint8_t {
  kMul,      // in * other
  kAdd,      // in + other
  kAxpy,     // factor * in + other, rounded once
  kScale,    // factor * in
  kExp,      // Beyond here float alone.
  kTanh,     //
  kSigmoid,  // 1 / (1 + e^-in)
  kGelu,     // in * sigmoid(2 sqrt(2 / pi) (in + 0.044715 in^3)), the form with tanh
};
inline constexpr std::size_t kElementwiseCount = 8;

template <class T>
struct ElementwisePiece {
  T* out = nullptr;
  const T* in = nullptr;
  const T* other = nullptr;
  T factor = 0;
  std::int64_t n = 0;
  bool stream = false;  // Writes past the caches; `fence` comes before others read it.
};

// A sum and what rounding took from it.
struct Compensated {
  double value = 0;
  double error = 0;

  double total() const { return value + error; }
};

template <class T>
struct Extremes {
  T min = 0;
  T max = 0;
  bool has_nan = false;  // min and max are then of no use.
};

template <class T>
struct ReduceLoops {
  Compensated (*sum)(const T* x, std::int64_t n) = nullptr;
  Compensated (*dot)(const T* x, const T* y, std::int64_t n) = nullptr;
  Extremes<T> (*extremes)(const T* x, std::int64_t n) = nullptr;  // n is at least 1.
};

inline constexpr int kJacobiRows = 4;

// n cells of one row of the 5-point stencil; those to their left and right are read, too.
struct StencilLoops {
  // out = the mean of the four neighbours.
  void (*jacobi_cells)(double* out, const double* up, const double* row, const double* down,
                       std::int64_t n, bool stream) = nullptr;
  // The same of n cells in each of kJacobiRows rows, past the caches: rows of `u` and `out` are
  // `stride` apart, whole lines; `u` is the first cell.
  void (*jacobi_rows)(double* out, const double* u, std::int64_t stride, std::int64_t n) = nullptr;
  // The same of n cells in each of kJacobiRows rows that lie anywhere: out[r] from rows[r],
  // rows[r + 1] and rows[r + 2], which are first cells.  Where `stream`, those of `out` begin lines.
  void (*jacobi_block)(double* const* out, const double* const* rows, std::int64_t n,
                       bool stream) = nullptr;
  // row += omega * (mean of the neighbours - rhs / 4 - row) for the cells first (0 or 1), first + 2, ...
  void (*sor_cells)(double* row, const double* up, const double* down, const double* rhs,
                    std::int64_t n, std::int64_t first, double omega) = nullptr;
};

struct KernelTable {
  tensor::Isa isa = tensor::Isa::kScalar;
  GemmLoops<float> gemm_f32;
  GemmLoops<double> gemm_f64;
  void (*elementwise_f32[kElementwiseCount])(const ElementwisePiece<float>& piece) = {};
  void (*elementwise_f64[kElementwiseCount])(const ElementwisePiece<double>& piece) = {};
  ReduceLoops<float> reduce_f32;
  ReduceLoops<double> reduce_f64;
  StencilLoops stencil;
  // Orders streaming stores before what follows: each task that streams ends with it.
  void (*fence)() = nullptr;

  template <class T>
  const GemmLoops<T>& gemm() const {
    if constexpr (std::is_same_v<T, float>) {
      return gemm_f32;
    } else {
      return gemm_f64;
    }
  }
  template <class T>
  auto elementwise(Elementwise op) const {
    if constexpr (std::is_same_v<T, float>) {
      return elementwise_f32[static_cast<std::size_t>(op)];
    } else {
      return elementwise_f64[static_cast<std::size_t>(op)];
    }
  }
  template <class T>
  const ReduceLoops<T>& reduce() const {
    if constexpr (std::is_same_v<T, float>) {
      return reduce_f32;
    } else {
      return reduce_f64;
    }
  }
};

// The table of the instruction set in use (tensor/isa.h).
const KernelTable& kernel_table();

// nullptr if this build or this machine does not have it.
const KernelTable* kernel_table_for(tensor::Isa isa);

namespace scalar {
const KernelTable& table();
}
namespace avx2 {
const KernelTable& table();
}
namespace avx512 {
const KernelTable& table();
}

}  // namespace hearth::compute

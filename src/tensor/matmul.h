// Products of a stored (often quantised) weight matrix with float activations.
//
// Shapes follow one convention: a weight is W [rows, cols], row-major in blocks along
// cols, as a GGUF file stores it; activations are X [n_tokens, cols]; the product is
// Y [n_tokens, rows] = X W^T.  One token makes it a matrix-vector product bound by
// memory (decode); many make it a matrix product bound by arithmetic (prefill), for
// which the kernels unpack W in cache-sized tiles.
//
// Activations are brought into the kernels' form once (`Activations::assign`) and then
// serve several products: q, k and v share one, gate and up another.  Products that share
// activations are computed together: each fork and join of the pool costs as much as reading some
// ten thousand bytes of weights.
//
// Two promises, held by tests on bits: a token's result does not depend on what else is in the
// batch, and no result depends on the instruction set or the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "tensor/dtype.h"
#include "tensor/weight_layout.h"

namespace hearth::tensor {

// A borrowed weight matrix [rows, cols], rows contiguous.
struct MatView {
  DType type = DType::kF32;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  const std::byte* data = nullptr;
  WeightLayout layout = WeightLayout::kRows;

  std::size_t bytes() const { return rows * row_bytes(type, cols); }
};

// Rows [first, first + n) of w; of a packed matrix whole panels.
inline MatView row_range(const MatView& w, std::uint32_t first, std::uint32_t n) {
  return {w.type, n, w.cols, w.data + first * row_bytes(w.type, w.cols), w.layout};
}

// X [n_tokens, cols] in every form that the products of a batch asked for.
//
// Threading: externally synchronised.  Owns its memory, which only grows: after a warm-up at
// the largest batch, `assign` allocates nothing.
class Activations {
 public:
  Activations();
  ~Activations();
  Activations(Activations&&) noexcept;
  Activations& operator=(Activations&&) noexcept;

  // Copies and quantises `x` [n_tokens, cols] (row stride `x_stride` floats) into the forms that
  // weights of `types` are multiplied with.
  void assign(const float* x, std::size_t x_stride, std::uint32_t n_tokens, std::uint32_t cols,
              std::span<const DType> types, ThreadPool& pool);

  struct State;
  const State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// One of the products that `matmul` computes together: y [n_tokens, w.rows] = x · w^T + bias, of
// tokens [first_token, first_token + n_tokens) of x.
struct Product {
  MatView w;
  const float* bias = nullptr;  // [w.rows]; null: none.
  float* y = nullptr;
  std::size_t y_stride = 0;  // In floats.
  std::uint32_t first_token = 0;
  std::uint32_t n_tokens = 0;
};

// At most this many products in one call.
inline constexpr std::size_t kProductsMax = 64;

// Computes all `products` in one fork and join.  `x` must have been assigned with each w.type among
// its types and w.cols columns.  `next` are matrices that will be read next, in their order (those without
// rows are skipped): their
// first rows are fetched while the last of these products end.
void matmul(std::span<const Product> products, const Activations& x, ThreadPool& pool,
            std::span<const MatView> next = {});

// y [n_tokens, w.rows] (row stride `y_stride` floats) = x · w^T, of all tokens of x.
void matmul(const MatView& w, const Activations& x, float* y, std::size_t y_stride,
            ThreadPool& pool);

// out [cols] = row `row` of w, dequantised: the embedding lookup.
void dequantize_row(const MatView& w, std::uint32_t row, float* out);

}  // namespace hearth::tensor

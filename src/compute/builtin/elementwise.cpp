#include "compute/builtin/elementwise.h"

#include <algorithm>

#include "compute/builtin/rounding.h"

namespace hearth::compute {
namespace {

// A task's elements in bytes: a few microseconds of work, many times a fork's.
constexpr std::int64_t kPieceBytes = std::int64_t{128} << 10;

template <class T>
void run_pieces(Elementwise op, std::int64_t n, const T* in, const T* other, T factor, T* out,
                const Workers& workers) {
  constexpr std::int64_t kPiece = kPieceBytes / static_cast<std::int64_t>(sizeof(T));
  const auto loop = kernel_table().elementwise<T>(op);
  const bool stream = n * static_cast<std::int64_t>(sizeof(T)) >= kStreamBytes;
  const auto n_pieces = static_cast<std::uint32_t>(divide_up(n, kPiece));
  workers.run(n_pieces, [&](std::uint32_t piece) {
    const std::int64_t at = piece * kPiece;
    loop({out + at, in + at, other == nullptr ? nullptr : other + at, factor,
          std::min(kPiece, n - at), stream});
    if (stream) kernel_table().fence();
  });
}

}  // namespace

void elementwise(Elementwise op, std::int64_t n, const float* in, const float* other, float factor,
                 float* out, const Workers& workers) {
  run_pieces(op, n, in, other, factor, out, workers);
}

void elementwise(Elementwise op, std::int64_t n, const double* in, const double* other,
                 double factor, double* out, const Workers& workers) {
  run_pieces(op, n, in, other, factor, out, workers);
}

}  // namespace hearth::compute

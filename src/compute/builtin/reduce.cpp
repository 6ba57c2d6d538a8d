#include "compute/builtin/reduce.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "compute/builtin/rounding.h"

namespace hearth::compute {
namespace {

// block(first, n) for each block; its results in their order.
template <class Block>
auto of_blocks(std::int64_t n, const Workers& workers, Block&& block) {
  using Found = decltype(block(std::int64_t{0}, std::int64_t{0}));
  const auto n_blocks = static_cast<std::uint32_t>(divide_up(n, kReduceBlock));
  std::vector<Found> found(n_blocks);
  workers.run(n_blocks, [&](std::uint32_t i) {
    const std::int64_t first = i * kReduceBlock;
    found[i] = block(first, std::min(kReduceBlock, n - first));
  });
  return found;
}

// Knuth's two-sum of the values; the errors add up beside it.
double join(const std::vector<Compensated>& blocks) {
  Compensated all;
  for (const Compensated& block : blocks) {
    const double before = all.value;
    all.value = before + block.value;
    const double taken = all.value - before;
    all.error += (before - (all.value - taken)) + (block.value - taken) + block.error;
  }
  // Once a sum is infinite, what rounding took from it is a NaN.
  return std::isfinite(all.value) ? all.total() : all.value;
}

template <class T>
double sum_of(std::int64_t n, const T* x, const Workers& workers) {
  const auto loop = kernel_table().reduce<T>().sum;
  return join(of_blocks(n, workers, [&](std::int64_t i, std::int64_t count) { return loop(x + i, count); }));
}

template <class T>
double dot_of(std::int64_t n, const T* x, const T* y, const Workers& workers) {
  const auto loop = kernel_table().reduce<T>().dot;
  return join(of_blocks(
      n, workers, [&](std::int64_t i, std::int64_t count) { return loop(x + i, y + i, count); }));
}

template <class T>
FoundExtremes<T> extremes_of(std::int64_t n, const T* x, const Workers& workers) {
  HEARTH_CHECK(n > 0);
  const auto loop = kernel_table().reduce<T>().extremes;
  const auto blocks = of_blocks(
      n, workers, [&](std::int64_t i, std::int64_t count) { return loop(x + i, count); });
  // The first block that has the value; in it, the first element.
  const auto first_where = [&](auto&& has, auto&& is) {
    const auto block = std::ranges::find_if(blocks, has) - blocks.begin();
    const T* const from = x + block * kReduceBlock;
    return std::find_if(from, x + n, is) - x;
  };
  const auto has_nan = [](const Extremes<T>& block) { return block.has_nan; };
  if (std::ranges::any_of(blocks, has_nan)) {
    const std::int64_t at = first_where(has_nan, [](T value) { return value != value; });
    return {x[at], x[at], at, at};
  }
  const T low = std::ranges::min_element(blocks, {}, &Extremes<T>::min)->min;
  const T high = std::ranges::max_element(blocks, {}, &Extremes<T>::max)->max;
  return {low, high,
          first_where([&](const auto& block) { return block.min == low; },
                      [&](T value) { return value == low; }),
          first_where([&](const auto& block) { return block.max == high; },
                      [&](T value) { return value == high; })};
}

// Scaled by a power of two, which rounds nothing, where squares leave the range of a double.
double scaled_norm(std::int64_t n, const double* x, const Workers& workers) {
  const auto found = extremes_of(n, x, workers);
  const double largest = std::max(std::fabs(found.min), std::fabs(found.max));
  if (largest == 0 || !std::isfinite(largest)) return largest;
  const int exponent = std::ilogb(largest);
  const auto blocks = of_blocks(n, workers, [&](std::int64_t first, std::int64_t count) {
    thread_local std::vector<double> scaled;
    scaled.resize(static_cast<std::size_t>(count));
    std::transform(x + first, x + first + count, scaled.begin(),
                   [&](double value) { return std::scalbn(value, -exponent); });
    return kernel_table().reduce<double>().dot(scaled.data(), scaled.data(), count);
  });
  return std::scalbn(std::sqrt(join(blocks)), exponent);
}

}  // namespace

double sum(std::int64_t n, const float* x, const Workers& workers) { return sum_of(n, x, workers); }
double sum(std::int64_t n, const double* x, const Workers& workers) { return sum_of(n, x, workers); }

double dot(std::int64_t n, const float* x, const float* y, const Workers& workers) {
  return dot_of(n, x, y, workers);
}
double dot(std::int64_t n, const double* x, const double* y, const Workers& workers) {
  return dot_of(n, x, y, workers);
}

double norm(std::int64_t n, const float* x, const Workers& workers) {
  return std::sqrt(dot_of(n, x, x, workers));
}

double norm(std::int64_t n, const double* x, const Workers& workers) {
  // Where the errors of products would be lost below the smallest double, or sums above the largest.
  constexpr double kTooSmall = 0x1p-960;
  const double squares = dot_of(n, x, x, workers);
  if (n == 0 || (std::isfinite(squares) && squares > kTooSmall)) return std::sqrt(squares);
  return scaled_norm(n, x, workers);
}

FoundExtremes<float> find_extremes(std::int64_t n, const float* x, const Workers& workers) {
  return extremes_of(n, x, workers);
}
FoundExtremes<double> find_extremes(std::int64_t n, const double* x, const Workers& workers) {
  return extremes_of(n, x, workers);
}

}  // namespace hearth::compute

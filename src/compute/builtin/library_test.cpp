// Built-ins that a library of the system computes; skipped with the reason where it is absent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "compute/builtin/builtin.h"

namespace hearth::compute {
namespace {

using testing::HasSubstr;

template <class T>
std::vector<T> numbers(std::size_t n) {
  std::vector<T> values(n);
  std::uint32_t state = 1;
  for (T& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<T>(static_cast<double>(state) / 4294967296.0 - 0.5);
  }
  return values;
}

template <class T>
Tensor tensor_of(std::vector<T>& values, std::vector<std::int64_t> shape) {
  return {std::is_same_v<T, float> ? ElementType::kF32 : ElementType::kF64, std::move(shape), {},
          reinterpret_cast<std::byte*>(values.data())};
}

Result<> run(std::string_view name, const std::vector<Argument>& arguments, unsigned n_threads = 1) {
  ThreadPool pool(n_threads);
  return run_builtin(*find_builtin(name), arguments, Workers(pool));
}

#define RUN_OR_SKIP(...)                                               \
  if (const Result<> done = run(__VA_ARGS__); !done) {                 \
    ASSERT_EQ(done.error().code, Code::kUnavailable) << done.error().message; \
    GTEST_SKIP() << done.error().message;                              \
  }

// The definition, in doubles.
std::vector<std::complex<double>> slow_transform(const std::vector<std::complex<double>>& in, double sign) {
  const std::size_t n = in.size();
  std::vector<std::complex<double>> out(n);
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t j = 0; j < n; ++j) {
      const double angle = sign * 2 * std::numbers::pi * static_cast<double>(j * k % n) / static_cast<double>(n);
      out[k] += in[j] * std::polar(1.0, angle);
    }
  }
  return out;
}

template <class T>
void test_fourier(const std::string& suffix, double tolerance) {
  constexpr std::int64_t kRows = 3;
  for (const std::int64_t n : {1, 2, 8, 31, 60}) {
    SCOPED_TRACE(n);
    auto in = numbers<T>(static_cast<std::size_t>(kRows * n * 2));
    const auto kept = in;
    std::vector<T> out(in.size()), back(in.size()), again(in.size());
    RUN_OR_SKIP("fft_" + suffix, {tensor_of(out, {kRows, n, 2}), tensor_of(in, {kRows, n, 2})});
    ASSERT_TRUE(run("fft_" + suffix, {tensor_of(again, {kRows, n, 2}), tensor_of(in, {kRows, n, 2})}, 3));
    EXPECT_EQ(out, again);
    EXPECT_EQ(in, kept);
    ASSERT_TRUE(run("ifft_" + suffix, {tensor_of(back, {kRows, n, 2}), tensor_of(out, {kRows, n, 2})}));
    for (std::int64_t row = 0; row < kRows; ++row) {
      std::vector<std::complex<double>> numbers_of_row;
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>((row * n + i) * 2);
        numbers_of_row.emplace_back(in[at], in[at + 1]);
      }
      const auto expected = slow_transform(numbers_of_row, -1);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>((row * n + i) * 2);
        EXPECT_NEAR(out[at], expected[static_cast<std::size_t>(i)].real(), tolerance);
        EXPECT_NEAR(out[at + 1], expected[static_cast<std::size_t>(i)].imag(), tolerance);
        EXPECT_NEAR(back[at], in[at], tolerance);
      }
    }
    // The first half of a real row's transform.
    auto reals = numbers<T>(static_cast<std::size_t>(kRows * n));
    std::vector<T> half(static_cast<std::size_t>(kRows * (n / 2 + 1) * 2));
    ASSERT_TRUE(run("rfft_" + suffix, {tensor_of(half, {kRows, n / 2 + 1, 2}), tensor_of(reals, {kRows, n})}));
    const auto expected = slow_transform({reals.begin(), reals.begin() + n}, -1);
    for (std::size_t i = 0; i <= static_cast<std::size_t>(n / 2); ++i) {
      EXPECT_NEAR(half[2 * i], expected[i].real(), tolerance);
      EXPECT_NEAR(half[2 * i + 1], expected[i].imag(), tolerance);
    }
  }
}

TEST(FourierTest, FloatsAreTheDefinition) { test_fourier<float>("f32", 3e-5); }
TEST(FourierTest, DoublesAreTheDefinition) { test_fourier<double>("f64", 1e-12); }

TEST(LapackTest, EigenvectorsAreThose) {
  constexpr std::int64_t kN = 37;
  auto a = numbers<double>(kN * kN);
  for (std::int64_t i = 0; i < kN; ++i) {
    for (std::int64_t j = 0; j < i; ++j) a[static_cast<std::size_t>(i * kN + j)] = a[static_cast<std::size_t>(j * kN + i)];
  }
  std::vector<double> values(kN), vectors(kN * kN);
  RUN_OR_SKIP("eigh_f64", {tensor_of(values, {kN}), tensor_of(vectors, {kN, kN}), tensor_of(a, {kN, kN})});
  for (std::size_t v = 0; v < kN; ++v) {
    if (v > 0) {
      EXPECT_LE(values[v - 1], values[v]);
    }
    for (std::size_t i = 0; i < kN; ++i) {
      double product = 0;
      for (std::size_t j = 0; j < kN; ++j) product += a[i * kN + j] * vectors[v * kN + j];
      EXPECT_NEAR(product, values[v] * vectors[v * kN + i], 1e-12);
    }
  }
}

TEST(LapackTest, SolutionsSolve) {
  constexpr std::int64_t kN = 29, kCols = 3;
  auto a = numbers<double>(kN * kN);
  auto b = numbers<double>(kN * kCols);
  std::vector<double> x(kN * kCols);
  RUN_OR_SKIP("solve_f64", {tensor_of(x, {kN, kCols}), tensor_of(a, {kN, kN}), tensor_of(b, {kN, kCols})});
  for (std::size_t i = 0; i < kN; ++i) {
    for (std::size_t c = 0; c < kCols; ++c) {
      double product = 0;
      for (std::size_t j = 0; j < kN; ++j) product += a[i * kN + j] * x[j * kCols + c];
      EXPECT_NEAR(product, b[i * kCols + c], 1e-11);
    }
  }
  std::vector<double> zeros(4), rhs(2), out(2);
  const Result<> singular = run("solve_f64", {tensor_of(out, {2, 1}), tensor_of(zeros, {2, 2}), tensor_of(rhs, {2, 1})});
  ASSERT_FALSE(singular);
  EXPECT_THAT(singular.error().message, HasSubstr("singular"));
}

}  // namespace
}  // namespace hearth::compute

// The kernels for devices on an OpenCL device, beside the CPU's: the same bits where that is promised.
#include "compute/opencl/opencl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "compute/builtin/builtin.h"

namespace hearth::compute {
namespace {

using testing::HasSubstr;

template <class T>
std::vector<T> numbers(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> draw(-1, 1);
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(draw(engine));
  return values;
}

template <class T>
Tensor tensor_of(std::vector<T>& values, std::vector<std::int64_t> shape) {
  return {std::is_same_v<T, float> ? ElementType::kF32 : ElementType::kF64, std::move(shape), {},
          reinterpret_cast<std::byte*>(values.data())};
}

class OpenClTest : public testing::Test {
 protected:
  // One device for all tests: compiling takes a second.
  static Result<std::unique_ptr<OpenCl>>& device() {
    static auto opened = [] {
      // What PoCL compiles is kept among the test's own files, not the user's.
      setenv("POCL_CACHE_DIR", (testing::TempDir() + "hearth-pocl").c_str(), 0);
      return OpenCl::open();
    }();
    return opened;
  }

  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a driver brings a compiler, whose own leaks and threads sanitizers report";
#endif
    if (device()) return;
    ASSERT_EQ(device().error().code, Code::kUnavailable) << device().error().message;
    GTEST_SKIP() << device().error().message;
  }

  // The same arguments there and here; `out` is the first.
  template <class T>
  std::pair<std::vector<T>, std::vector<T>> run_both(std::string_view name, std::vector<Argument> arguments) {
    Tensor& out = std::get<Tensor>(arguments[0]);
    const auto n = static_cast<std::size_t>(out.n_elements());
    std::vector<T> there(n, T{77}), here(n, T{-77});
    out.data = reinterpret_cast<std::byte*>(there.data());
    const Builtin& builtin = *find_builtin(name);
    const auto bound = bind_arguments(signature_of(builtin), arguments);
    EXPECT_TRUE(bound) << bound.error().message;
    const auto plan = plan_for_device(name, *bound);
    EXPECT_TRUE(plan) << plan.error().message;
    const auto ran = (*device())->run(*plan, {});
    EXPECT_TRUE(ran) << ran.error().message;
    out.data = reinterpret_cast<std::byte*>(here.data());
    ThreadPool pool(1);
    EXPECT_TRUE(run_builtin(builtin, arguments, Workers(pool)));
    return {there, here};
  }
};

TEST_F(OpenClTest, ElementwiseAreTheCpusBits) {
  for (const std::int64_t n : {0, 1, 255, 256, 1009}) {
    auto x = numbers<float>(static_cast<std::size_t>(n), 1);
    auto y = numbers<float>(static_cast<std::size_t>(n), 2);
    std::vector<float> out(x.size());
    const auto [there, here] = run_both<float>("mul_f32", {tensor_of(out, {n}), tensor_of(x, {n}), tensor_of(y, {n})});
    EXPECT_EQ(there, here);
    const auto [a, b] = run_both<float>("axpy_f32", {tensor_of(out, {n}), tensor_of(x, {n}), tensor_of(y, {n}), 0.3});
    EXPECT_EQ(a, b);
  }
}

TEST_F(OpenClTest, SumsAreClose) {
  for (const std::int64_t n : {0, 1, 16384, 70001}) {
    auto x = numbers<float>(static_cast<std::size_t>(n), 1);
    auto y = numbers<double>(static_cast<std::size_t>(n), 2);
    std::vector<double> out(1);
    const auto [there, here] = run_both<double>("sum_f32", {tensor_of(out, {1}), tensor_of(x, {n})});
    EXPECT_NEAR(there[0], here[0], 1e-10);
    const auto [a, b] = run_both<double>("sum_f64", {tensor_of(out, {1}), tensor_of(y, {n})});
    EXPECT_NEAR(a[0], b[0], 1e-10);
  }
}

template <class T>
std::vector<std::vector<T>> operands(std::int64_t m, std::int64_t n, std::int64_t k) {
  return {std::vector<T>(static_cast<std::size_t>(m * n)), numbers<T>(static_cast<std::size_t>(m * k), 1),
          numbers<T>(static_cast<std::size_t>(k * n), 2)};
}

TEST_F(OpenClTest, ProductsAreTheCpusBits) {
  constexpr std::int64_t kShapes[][3] = {{1, 1, 1}, {17, 33, 5}, {16, 16, 0}, {31, 29, 300}};
  for (const auto& [m, n, k] : kShapes) {
    auto f = operands<float>(m, n, k);
    const auto [a, b] = run_both<float>(
        "gemm_f32", {tensor_of(f[0], {m, n}), tensor_of(f[1], {m, k}), tensor_of(f[2], {k, n})});
    EXPECT_EQ(a, b);
    auto d = operands<double>(m, n, k);
    const auto [c, e] = run_both<double>(
        "gemm_f64", {tensor_of(d[0], {m, n}), tensor_of(d[1], {m, k}), tensor_of(d[2], {k, n})});
    EXPECT_EQ(c, e);
  }
}

TEST_F(OpenClTest, SweepsAreTheCpusBits) {
  for (const std::int64_t sweeps : {0, 1, 2, 5}) {
    auto u = numbers<double>(37 * 41, 1);
    std::vector<double> out(u.size());
    const auto [there, here] =
        run_both<double>("jacobi5_f64", {tensor_of(out, {37, 41}), tensor_of(u, {37, 41}), sweeps});
    EXPECT_EQ(there, here);
  }
}

TEST(DevicePlanTest, RefusesWhatDevicesCannot) {
  std::vector<float> x(4), y(4), out(40);
  const auto message = [](std::string_view name, const std::vector<Argument>& arguments) {
    const auto bound = bind_arguments(signature_of(*find_builtin(name)), arguments);
    EXPECT_TRUE(bound);
    const auto plan = plan_for_device(name, *bound);
    return plan ? "planned" : plan.error().message;
  };
  EXPECT_THAT(message("exp_f32", {tensor_of(out, {4}), tensor_of(x, {4})}), HasSubstr("no kernel for devices"));
  Tensor padded = tensor_of(out, {2, 2});
  padded.strides = {4, 1};
  EXPECT_THAT(message("gemm_f32", {padded, tensor_of(x, {2, 2}), tensor_of(y, {2, 2})}),
              HasSubstr("contiguous tensors"));
}

}  // namespace
}  // namespace hearth::compute

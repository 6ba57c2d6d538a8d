// The built-in kernels beside twins in more digits, on every instruction set that the machine has and
// with 1 to 3 threads: the same bits everywhere, and errors within what rounding explains.
#include "compute/builtin/builtin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "compute/builtin/gemm.h"
#include "compute/builtin/isa/kernel_table.h"
#include "compute/builtin/reduce.h"
#include "compute/builtin/stencil.h"

namespace hearth::compute {
namespace {

using testing::HasSubstr;

template <class T>
std::vector<T> random_numbers(std::size_t n, unsigned seed, double low = -1, double high = 1) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> draw(low, high);
  std::vector<T> numbers(n);
  for (T& number : numbers) number = static_cast<T>(draw(engine));
  return numbers;
}

template <class T>
Tensor tensor_of(std::vector<T>& values, std::vector<std::int64_t> shape,
                 std::vector<std::int64_t> strides = {}) {
  ElementType type = ElementType::kF32;
  if (std::is_same_v<T, double>) type = ElementType::kF64;
  if (std::is_same_v<T, std::int64_t>) type = ElementType::kI64;
  return {type, std::move(shape), std::move(strides), reinterpret_cast<std::byte*>(values.data())};
}

// Runs `what` on each instruction set with 1, 2 and 3 threads.
void on_all(const std::function<void(const Workers&)>& what) {
  const tensor::Isa before = tensor::selected_isa();
  for (const tensor::Isa isa : tensor::available_isas()) {
    ASSERT_TRUE(tensor::select_isa(isa));
    for (const unsigned n_threads : {1U, 2U, 3U}) {
      SCOPED_TRACE(std::string(tensor::isa_name(isa)) + ", " + std::to_string(n_threads));
      ThreadPool pool(n_threads);
      what(Workers(pool));
    }
  }
  ASSERT_TRUE(tensor::select_isa(before));
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// The first result is remembered; all others must be its bits.
template <class T>
class SameBits {
 public:
  void expect(const std::vector<T>& values) {
    if (first_.empty()) first_ = values;
    EXPECT_TRUE(same_bits(first_, values));
  }

 private:
  std::vector<T> first_;
};

void run(std::string_view name, const std::vector<Argument>& arguments, const Workers& workers) {
  const Builtin* const builtin = find_builtin(name);
  ASSERT_NE(builtin, nullptr) << name;
  const Result<> done = run_builtin(*builtin, arguments, workers);
  ASSERT_TRUE(done) << done.error().message;
}

std::string refusal(std::string_view name, const std::vector<Argument>& arguments) {
  ThreadPool pool(1);
  const Result<> done = run_builtin(*find_builtin(name), arguments, Workers(pool));
  return done ? "it ran" : done.error().message;
}

TEST(BuiltinTest, EveryRowParsesAndCostsSomething) {
  std::set<std::string_view> names;
  for (const Builtin& row : builtins()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(names.insert(row.name).second);
    EXPECT_FALSE(row.about.empty());
    EXPECT_LE(row.determinism, 2);
    const Signature& signature = signature_of(row);
    EXPECT_TRUE(signature.parameters[0].is_written());
    Bindings sevens;
    sevens.n_symbols = signature.symbols.size();
    sevens.integers.assign(sevens.n_symbols, 7);
    const Result<Cost> cost = cost_of(row, sevens);
    ASSERT_TRUE(cost) << cost.error().message;
    EXPECT_GT(cost->flops, 0);
    EXPECT_GT(cost->bytes, 0);
  }
  EXPECT_EQ(find_builtin("mul_f16"), nullptr);
}

// The distance in units in the last place of `exact`, rounded to a float.
double ulps(float value, double exact) {
  if (std::isnan(exact)) return std::isnan(value) ? 0 : INFINITY;
  const auto rounded = static_cast<float>(exact);
  if (rounded == value) return 0;
  if (std::isinf(rounded)) return INFINITY;
  const float ulp = std::nextafterf(std::fabs(rounded), INFINITY) - std::fabs(rounded);
  return std::fabs(value - exact) / ulp;
}

struct UnaryCase {
  const char* name;
  double (*twin)(double);
  double low, high;
  double ulps_max;      // Where the function is as well conditioned as its argument.
  double ulps_per_x = 0;  // And for each unit of |x|: what rounding x does to the result.
};

TEST(ElementwiseTest, FunctionsAreWithinUlpsOfTheirTwins) {
  const UnaryCase cases[] = {
      {"exp_f32", [](double x) { return std::exp(x); }, -103, 90, 2},
      {"tanh_f32", [](double x) { return std::tanh(x); }, -12, 12, 3},
      {"sigmoid_f32", [](double x) { return 1 / (1 + std::exp(-x)); }, -100, 40, 3},
      {"gelu_f32",
       [](double x) {
         const double t = 1.5957691216057308 * (x + 0.044715 * x * x * x);
         return x / (1 + std::exp(-t));
       },
       -10, 10, 4, 30},
  };
  for (const UnaryCase& c : cases) {
    SCOPED_TRACE(c.name);
    auto in = random_numbers<float>(20011, 3, c.low, c.high);
    for (const float x : {0.0F, -0.0F, 1e-30F, -1e-38F, 0.624F, 0.626F, -88.0F, INFINITY, NAN}) {
      in.push_back(x);
    }
    SameBits<float> same;
    on_all([&](const Workers& workers) {
      std::vector<float> out(in.size(), 7);
      const auto n = static_cast<std::int64_t>(in.size());
      run(c.name, {tensor_of(out, {n}), tensor_of(in, {n})}, workers);
      same.expect(out);
      double worst = 0;
      for (std::size_t i = 0; i < in.size(); ++i) {
        const double size = std::min(1e3, std::fabs(double{in[i]}));  // Also of a NaN.
        const double allowed = c.ulps_max + c.ulps_per_x * size;
        worst = std::max(worst, ulps(out[i], c.twin(in[i])) / allowed);
        ASSERT_LE(ulps(out[i], c.twin(in[i])), allowed) << "at " << in[i] << ": " << out[i];
      }
      RecordProperty(std::string(c.name) + "_worst_share", std::to_string(worst));
    });
  }
}

template <class T>
struct ArithmeticCase {
  Elementwise op;
  std::function<T(T in, T other, T factor)> twin;
};

// Lengths around the vectors, each misalignment, cached and streaming stores; nothing before or
// after the output is touched.
template <class T>
void test_arithmetic(tensor::Isa isa) {
  const ArithmeticCase<T> cases[] = {
      {Elementwise::kMul, [](T a, T b, T) { return a * b; }},
      {Elementwise::kAdd, [](T a, T b, T) { return a + b; }},
      {Elementwise::kAxpy, [](T a, T b, T f) { return std::fma(f, a, b); }},
      {Elementwise::kScale, [](T a, T, T f) { return f * a; }},
  };
  const auto in = random_numbers<T>(400, 1);
  const auto other = random_numbers<T>(400, 2);
  constexpr T kGuard = T(-77);
  for (const auto& c : cases) {
    const auto loop = kernel_table_for(isa)->elementwise<T>(c.op);
    for (const bool stream : {false, true}) {
      for (std::size_t n = 0; n <= 70; ++n) {
        for (std::size_t at = 0; at < 17; at += 1 + n % 3) {
          std::vector<T> out(120, kGuard);
          loop({out.data() + at + 1, in.data() + at, other.data() + 2 * at, T(0.3),
                static_cast<std::int64_t>(n), stream});
          for (std::size_t i = 0; i < n; ++i) {
            ASSERT_EQ(out[at + 1 + i], c.twin(in[at + i], other[2 * at + i], T(0.3)))
                << "n = " << n << ", at " << at << ", element " << i;
          }
          ASSERT_EQ(out[at], kGuard);
          ASSERT_EQ(out[at + 1 + n], kGuard);
        }
      }
    }
  }
}

TEST(ElementwiseTest, ArithmeticIsExactAtEveryLengthAndAlignment) {
  for (const tensor::Isa isa : tensor::available_isas()) {
    SCOPED_TRACE(tensor::isa_name(isa));
    test_arithmetic<float>(isa);
    test_arithmetic<double>(isa);
  }
}

TEST(ElementwiseTest, LargeArraysStreamAndEmptyOnesDoNothing) {
  const std::int64_t n = (std::int64_t{1} << 20) + 12345;
  auto in = random_numbers<float>(static_cast<std::size_t>(n), 1);
  auto weights = random_numbers<float>(static_cast<std::size_t>(n), 2);
  std::vector<float> out(static_cast<std::size_t>(n) + 1);
  ThreadPool pool(2);
  // One element off its line.
  Tensor shifted = tensor_of(out, {n});
  shifted.data += sizeof(float);
  run("mul_f32", {shifted, tensor_of(in, {n}), tensor_of(weights, {n})}, Workers(pool));
  for (std::size_t i = 0; i < in.size(); ++i) ASSERT_EQ(out[i + 1], in[i] * weights[i]) << i;
  EXPECT_EQ(out[0], 0);
  run("mul_f32", {tensor_of(out, {0}), tensor_of(in, {0}), tensor_of(weights, {0})}, Workers(pool));
}

TEST(BuiltinTest, ArgumentsThatDoNotFitAreRefused) {
  std::vector<float> x(12), y(12);
  EXPECT_THAT(refusal("mul_f32", {tensor_of(x, {12}), tensor_of(x, {12}), tensor_of(y, {12})}),
              HasSubstr("out"));
  EXPECT_THAT(refusal("mul_f32", {tensor_of(x, {12}), tensor_of(y, {11}), tensor_of(y, {12})}),
              HasSubstr("in"));
  EXPECT_THAT(refusal("max_f32", {tensor_of(x, {1}), tensor_of(y, {0})}), HasSubstr("'in' is empty"));
  std::vector<double> u(12), v(12);
  EXPECT_THAT(refusal("jacobi5_f64", {tensor_of(u, {3, 4}), tensor_of(v, {3, 4}), std::int64_t{-1}}),
              HasSubstr("'sweeps' is -1"));
  std::vector<float> a(4), b(4), c(32);
  EXPECT_THAT(refusal("gemm_f32", {tensor_of(c, {2, 2}, {8, 2}), tensor_of(a, {2, 2}),
                                   tensor_of(b, {2, 2})}),
              HasSubstr("strides [8, 2]"));
  // Overlapping reads are fine: x * x.
  EXPECT_EQ(refusal("mul_f32", {tensor_of(x, {12}), tensor_of(y, {12}), tensor_of(y, {12})}), "it ran");
}

TEST(BuiltinTest, ARunThatIsGivenUpSaysSo) {
  std::vector<float> x(12), y(12);
  ThreadPool pool(1);
  const std::atomic<std::uint32_t> before = 5;
  const std::vector<Argument> arguments = {tensor_of(x, {12}), tensor_of(y, {12}), tensor_of(y, {12})};
  const Builtin& mul = *find_builtin("mul_f32");
  EXPECT_TRUE(run_builtin(mul, arguments, Workers(pool, {&before, 5})));
  const Result<> given_up = run_builtin(mul, arguments, Workers(pool, {&before, 4}));
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code, Code::kCancelled);
}

// c = a b in more digits, and the sum of the products' sizes.
template <class T>
struct Twin {
  using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;
  static void check(const GemmCall<T>& call) {
    const auto u = static_cast<Wide>(std::numeric_limits<T>::epsilon() / 2);
    for (std::int64_t i = 0; i < call.m; ++i) {
      for (std::int64_t j = 0; j < call.n; ++j) {
        Wide exact = 0;
        Wide sizes = 0;
        for (std::int64_t k = 0; k < call.k; ++k) {
          const Wide product =
              Wide{call.a.data[i * call.a.row_stride + k * call.a.col_stride]} *
              call.b.data[k * call.b.row_stride + j * call.b.col_stride];
          exact += product;
          sizes += std::fabs(product);
        }
        const T found = call.c.data[i * call.c.row_stride + j * call.c.col_stride];
        // Higham's bound for sums of k products, each rounded once.
        const Wide bound = static_cast<Wide>(call.k + 1) * u * sizes;
        ASSERT_LE(std::fabs(found - exact), bound) << "c[" << i << ", " << j << "]";
      }
    }
  }
};

enum class Layout { kRows, kPaddedRows, kColumns };

// A matrix in memory of its own, with guards between rows (or columns) where there is room.
template <class T>
struct TestMatrix {
  TestMatrix(std::int64_t rows, std::int64_t cols, Layout layout, unsigned seed) {
    const bool by_rows = layout != Layout::kColumns;
    const std::int64_t inner = by_rows ? cols : rows;
    const std::int64_t outer = by_rows ? rows : cols;
    const std::int64_t stride = layout == Layout::kRows ? inner : inner + 5;
    values = random_numbers<T>(static_cast<std::size_t>(outer * stride), seed);
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = inner; i < stride; ++i) {
        values[static_cast<std::size_t>(o * stride + i)] = std::numeric_limits<T>::quiet_NaN();
      }
    }
    shape = {rows, cols};
    strides = by_rows ? std::vector{stride, std::int64_t{1}} : std::vector{std::int64_t{1}, stride};
  }

  Tensor tensor() { return tensor_of(values, shape, strides); }
  MatrixView<const T> view() const { return {values.data(), strides[0], strides[1]}; }

  std::vector<T> values;
  std::vector<std::int64_t> shape, strides;
};

template <class T>
void test_gemm(const char* name, std::int64_t m, std::int64_t n, std::int64_t k, Layout layout) {
  SCOPED_TRACE(testing::Message() << name << " " << m << " x " << n << " x " << k << ", layout "
                                  << static_cast<int>(layout));
  TestMatrix<T> a(m, k, layout, 1);
  TestMatrix<T> b(k, n, layout, 2);
  SameBits<T> same;
  bool checked = false;
  on_all([&](const Workers& workers) {
    TestMatrix<T> c(m, n, layout, 3);
    run(name, {c.tensor(), a.tensor(), b.tensor()}, workers);
    same.expect(c.values);  // With the guards: nothing else was written.
    if (checked) return;
    checked = true;
    Twin<T>::check({m, n, k, a.view(), b.view(), {c.values.data(), c.strides[0], c.strides[1]}});
  });
}

template <class T>
void test_gemm_shapes(const char* name) {
  constexpr std::int64_t kShapes[][3] = {
      {1, 1, 1},   {3, 5, 0},   {8, 48, 4},    {9, 49, 3},   {7, 23, 11},   {16, 24, 31},
      {1, 97, 33}, {64, 1, 65}, {13, 17, 257}, {31, 53, 41}, {23, 101, 300}, {61, 127, 67},
  };
  for (const auto& shape : kShapes) {
    for (const Layout layout : {Layout::kRows, Layout::kPaddedRows, Layout::kColumns}) {
      test_gemm<T>(name, shape[0], shape[1], shape[2], layout);
    }
  }
}

TEST(GemmTest, FloatsOfAllShapesAndStrides) { test_gemm_shapes<float>("gemm_f32"); }
TEST(GemmTest, DoublesOfAllShapesAndStrides) { test_gemm_shapes<double>("gemm_f64"); }

TEST(GemmTest, EmptyProducts) {
  std::vector<float> none, b(6, 7.0F);
  ThreadPool pool(2);
  run("gemm_f32", {tensor_of(none, {0, 2}), tensor_of(none, {0, 3}), tensor_of(b, {3, 2})},
      Workers(pool));
}

// The blocked form makes the bits of the small one: columns of the product of a wider b.
TEST(GemmTest, BlocksAndThreadsChangeNothing) {
  constexpr std::int64_t kM = 203, kN = 1031, kK = 290;
  static_assert(kM * kN * kK > 320 * 320 * 320 && kN * sizeof(float) >= 4096);
  TestMatrix<float> a(kM, kK, Layout::kRows, 1);
  TestMatrix<float> b(kK, kN, Layout::kRows, 2);
  const tensor::Isa before = tensor::selected_isa();
  SameBits<float> same;
  for (const tensor::Isa isa : tensor::available_isas()) {
    if (isa == tensor::Isa::kScalar) continue;  // A minute of calls of fma.
    ASSERT_TRUE(tensor::select_isa(isa));
    for (const unsigned n_threads : {1U, 3U}) {
      ThreadPool pool(n_threads);
      std::vector<float> whole(kM * kN);
      gemm(GemmCall<float>{kM, kN, kK, a.view(), b.view(), {whole.data(), kN, 1}}, Workers(pool));
      same.expect(whole);
      constexpr std::int64_t kFirst = 100, kCols = 77;
      std::vector<float> part(kM * kCols);
      auto columns = b.view();
      columns.data += kFirst;
      gemm(GemmCall<float>{kM, kCols, kK, a.view(), columns, {part.data(), kCols, 1}}, Workers(pool));
      for (std::int64_t i = 0; i < kM; ++i) {
        for (std::int64_t j = 0; j < kCols; ++j) {
          ASSERT_EQ(part[static_cast<std::size_t>(i * kCols + j)],
                    whole[static_cast<std::size_t>(i * kN + kFirst + j)]);
        }
      }
    }
  }
  ASSERT_TRUE(tensor::select_isa(before));
}

template <class T>
void test_gemv(const char* name) {
  constexpr std::int64_t kShapes[][2] = {{1, 1}, {0, 3}, {5, 0}, {9, 31}, {127, 65}, {33, 1021}};
  for (const auto& shape : kShapes) {
    for (const Layout layout : {Layout::kRows, Layout::kPaddedRows, Layout::kColumns}) {
      SCOPED_TRACE(testing::Message() << name << " " << shape[0] << " x " << shape[1]);
      TestMatrix<T> a(shape[0], shape[1], layout, 1);
      auto x = random_numbers<T>(static_cast<std::size_t>(shape[1]), 2);
      SameBits<T> same;
      on_all([&](const Workers& workers) {
        std::vector<T> y(static_cast<std::size_t>(shape[0]), 7);
        run(name, {tensor_of(y, {shape[0]}), a.tensor(), tensor_of(x, {shape[1]})}, workers);
        same.expect(y);
        Twin<T>::check({shape[0], 1, shape[1], a.view(), {x.data(), 1, 1}, {y.data(), 1, 1}});
      });
    }
  }
}

TEST(GemvTest, FloatsAndDoubles) {
  test_gemv<float>("gemv_f32");
  test_gemv<double>("gemv_f64");
}

// Numbers over many decades whose sum is much smaller than they are.
std::vector<double> cancelling(std::size_t n) {
  auto x = random_numbers<double>(n, 5);
  for (std::size_t i = 0; i + 1 < n; i += 2) {
    x[i] = std::ldexp(x[i], static_cast<int>(i % 80));
    x[i + 1] = -x[i] * (1 + 1e-9 * x[i + 1]);
  }
  return x;
}

double total(const std::vector<double>& x, const std::vector<double>& y) {
  long double sum = 0, lost = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double product = static_cast<long double>(x[i]) * y[i];
    const long double next = sum + product;
    lost += std::fabs(sum) >= std::fabs(product) ? (sum - next) + product : (product - next) + sum;
    sum = next;
  }
  return static_cast<double>(sum + lost);
}

TEST(ReduceTest, SumsAreAsExactAsTwiceTheDigits) {
  for (const std::size_t n : {0U, 1U, 15U, 16U, 17U, 1009U, 100003U}) {
    SCOPED_TRACE(n);
    auto x = cancelling(n);
    std::vector<double> ones(n, 1);
    std::vector<float> floats(x.begin(), x.end());
    const std::vector<double> widened(floats.begin(), floats.end());
    const auto size = static_cast<std::int64_t>(n);
    double sizes = 0;
    for (const double value : widened) sizes += std::fabs(value);
    SameBits<double> same;
    on_all([&](const Workers& workers) {
      std::vector<double> found(6);
      const auto into = [&](std::size_t i) {
        return Tensor{ElementType::kF64, {1}, {}, reinterpret_cast<std::byte*>(&found[i])};
      };
      run("sum_f64", {into(0), tensor_of(x, {size})}, workers);
      run("dot_f64", {into(1), tensor_of(x, {size}), tensor_of(x, {size})}, workers);
      run("norm_f64", {into(2), tensor_of(x, {size})}, workers);
      run("sum_f32", {into(3), tensor_of(floats, {size})}, workers);
      run("dot_f32", {into(4), tensor_of(floats, {size}), tensor_of(floats, {size})}, workers);
      run("norm_f32", {into(5), tensor_of(floats, {size})}, workers);
      same.expect(found);
      EXPECT_DOUBLE_EQ(found[0], total(x, ones));
      EXPECT_DOUBLE_EQ(found[1], total(x, x));
      EXPECT_DOUBLE_EQ(found[2], std::sqrt(total(x, x)));
      EXPECT_NEAR(found[3], total(widened, ones), 1e-12 * sizes);
      EXPECT_NEAR(found[4], total(widened, widened), 1e-12 * found[4]);
      EXPECT_NEAR(found[5], std::sqrt(total(widened, widened)), 1e-12 * found[5]);
    });
  }
}

TEST(ReduceTest, NormsOfHugeAndTinyNumbers) {
  ThreadPool pool(1);
  for (const double scale : {1e300, 1e-300, 5e-324}) {
    const std::vector<double> x = {3 * scale, 4 * scale};
    EXPECT_DOUBLE_EQ(norm(2, x.data(), Workers(pool)), 5 * scale);
  }
  const std::vector<double> bad = {1, NAN, 2};
  EXPECT_TRUE(std::isnan(norm(3, bad.data(), Workers(pool))));
  const std::vector<double> infinite = {1, -INFINITY};
  EXPECT_EQ(norm(2, infinite.data(), Workers(pool)), INFINITY);
  EXPECT_EQ(sum(2, infinite.data(), Workers(pool)), -INFINITY);
}

TEST(ReduceTest, ExtremesAndWhereTheyAre) {
  for (const std::size_t n : {1U, 2U, 63U, 64U, 65U, 70001U}) {
    SCOPED_TRACE(n);
    auto x = random_numbers<float>(n, 9);
    x[n / 2] = x[n - 1] = 2;
    x[n / 3] = -2;
    const std::vector<double> wide(x.begin(), x.end());
    const auto largest = std::max_element(x.begin(), x.end()) - x.begin();
    const auto smallest = std::min_element(x.begin(), x.end()) - x.begin();
    const auto size = static_cast<std::int64_t>(n);
    on_all([&](const Workers& workers) {
      const auto found = find_extremes(size, x.data(), workers);
      EXPECT_EQ(found.argmax, largest);
      EXPECT_EQ(found.argmin, smallest);
      EXPECT_EQ(found.max, *std::ranges::max_element(x));
      EXPECT_EQ(found.min, *std::ranges::min_element(x));
      EXPECT_EQ(find_extremes(size, wide.data(), workers).argmax, largest);
      auto broken = x;
      broken[n - 1] = NAN;
      broken[n / 2] = NAN;
      EXPECT_EQ(find_extremes(size, broken.data(), workers).argmax, static_cast<std::int64_t>(n / 2));
      EXPECT_TRUE(std::isnan(find_extremes(size, broken.data(), workers).min));
    });
  }
  std::vector<std::int64_t> at(1);
  auto x = random_numbers<float>(33, 1);
  x[7] = 3;
  ThreadPool pool(1);
  run("argmax_f32", {tensor_of(at, {1}), tensor_of(x, {33})}, Workers(pool));
  EXPECT_EQ(at[0], 7);
}

void jacobi_twin(std::int64_t n, std::int64_t m, std::vector<double>& u) {
  const auto before = u;
  const auto at = [&](std::int64_t i, std::int64_t j) { return before[static_cast<std::size_t>(i * m + j)]; };
  for (std::int64_t i = 1; i < n - 1; ++i) {
    for (std::int64_t j = 1; j < m - 1; ++j) {
      u[static_cast<std::size_t>(i * m + j)] =
          0.25 * ((at(i - 1, j) + at(i + 1, j)) + (at(i, j - 1) + at(i, j + 1)));
    }
  }
}

void sor_twin(std::int64_t n, std::int64_t m, const std::vector<double>& rhs, double omega,
              std::vector<double>& u) {
  const auto at = [&](std::int64_t i, std::int64_t j) -> double& { return u[static_cast<std::size_t>(i * m + j)]; };
  for (const int colour : {0, 1}) {
    for (std::int64_t i = 1; i < n - 1; ++i) {
      for (std::int64_t j = 1; j < m - 1; ++j) {
        if ((i + j) % 2 != colour) continue;
        const double mean = 0.25 * ((at(i - 1, j) + at(i + 1, j)) + (at(i, j - 1) + at(i, j + 1)));
        const double target = std::fma(-0.25, rhs[static_cast<std::size_t>(i * m + j)], mean);
        at(i, j) = std::fma(omega, target - at(i, j), at(i, j));
      }
    }
  }
}

TEST(StencilTest, SweepsAreTheTwinsBits) {
  constexpr std::int64_t kShapes[][2] = {{1, 1}, {2, 9},  {3, 3},    {3, 40},
                                         {40, 3}, {65, 67}, {301, 29}, {5, 20001}};
  for (const auto& [n, m] : kShapes) {
    for (const std::int64_t sweeps : {0, 1, 2, 8, 19}) {
      SCOPED_TRACE(testing::Message() << n << " x " << m << ", " << sweeps << " sweeps");
      if (n * m > 50000 && sweeps > 2) continue;
      const auto size = static_cast<std::size_t>(n * m);
      auto u = random_numbers<double>(size, 1);
      auto rhs = random_numbers<double>(size, 2);
      auto jacobi = u, relaxed = u;
      for (std::int64_t i = 0; i < sweeps; ++i) {
        jacobi_twin(n, m, jacobi);
        sor_twin(n, m, rhs, 1.7, relaxed);
      }
      on_all([&](const Workers& workers) {
        std::vector<double> out(size, 7), inout = u;
        run("jacobi5_f64", {tensor_of(out, {n, m}), tensor_of(u, {n, m}), sweeps}, workers);
        EXPECT_TRUE(same_bits(out, jacobi));
        run("sor_red_black_f64", {tensor_of(inout, {n, m}), tensor_of(rhs, {n, m}), 1.7, sweeps}, workers);
        EXPECT_TRUE(same_bits(inout, relaxed));
      });
    }
  }
}

TEST(StencilTest, WideGridsAreCutIntoTiles) {
  for (const auto& [n, m] : {std::array{40, 2000}, {33, 1999}, {150, 865}, {3, 1713}, {200, 872}}) {
    const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(m);
    auto u = random_numbers<double>(size, 1);
    u[static_cast<std::size_t>(n / 2 * m + m / 2)] = INFINITY;  // Goes so many cells far, and no further.
    for (const std::int64_t sweeps : {5, 8, 13}) {
      SCOPED_TRACE(testing::Message() << n << " x " << m << ", " << sweeps << " sweeps");
      auto expected = u;
      for (std::int64_t i = 0; i < sweeps; ++i) jacobi_twin(n, m, expected);
      on_all([&](const Workers& workers) {
        std::vector<double> out(size, 7);
        run("jacobi5_f64", {tensor_of(out, {n, m}), tensor_of(u, {n, m}), sweeps}, workers);
        EXPECT_TRUE(same_bits(out, expected));
      });
    }
  }
}

TEST(StencilTest, LargeGridsStream) {
  // Rows that are whole lines are computed several at once.
  for (const auto& [n, m] : {std::array{700, 811}, {700, 816}, {67, 8208}, {66, 8204}}) {
    const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(m);
    auto u = random_numbers<double>(size, 1);
    for (const std::int64_t sweeps : {1, 3}) {
      SCOPED_TRACE(testing::Message() << n << " x " << m << ", " << sweeps << " sweeps");
      auto expected = u;
      for (std::int64_t i = 0; i < sweeps; ++i) jacobi_twin(n, m, expected);
      on_all([&](const Workers& workers) {
        constexpr std::size_t kOff = 3;  // No line begins with the tensor.
        std::vector<double> memory(size + kOff, 7);
        jacobi5(n, m, u.data(), sweeps, memory.data() + kOff, workers);
        EXPECT_EQ(std::vector<double>(memory.begin(), memory.begin() + kOff), std::vector<double>(kOff, 7));
        EXPECT_TRUE(same_bits(std::vector<double>(memory.begin() + kOff, memory.end()), expected));
      });
    }
  }
}

}  // namespace
}  // namespace hearth::compute

// The products against an oracle in double, and against one another bit for bit: all instruction
// sets, all batch sizes.
#include "tensor/matmul.h"

#include <gtest/gtest.h>

#include <limits>

#include "tensor/dequantize.h"
#include "tensor/isa.h"
#include "tensor/kernels/panel.h"
#include "tensor/pack.h"
#include "tensor/testing.h"

namespace hearth::tensor {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Restores the best instruction set at the end of a test.
struct BestIsaAgain {
  ~BestIsaAgain() { EXPECT_TRUE(select_isa(available_isas().back())); }
};

std::vector<DType> all_types() {
  std::vector<DType> types(std::begin(kFloatTypes), std::end(kFloatTypes));
  types.insert(types.end(), std::begin(kQuantTypes), std::end(kQuantTypes));
  return types;
}

std::string type_name(const testing::TestParamInfo<DType>& info) {
  return std::string(dtype_info(info.param).name);
}

std::uint32_t smallest_row(DType type) {
  const std::uint32_t block = dtype_info(type).block_elements;
  return block == 1 ? 32 : block;
}

// y [n_tokens, rows] with the guards around it checked.
std::vector<float> product(const MatView& w, const std::vector<float>& x, std::uint32_t n_tokens,
                           ThreadPool& pool) {
  Activations activations;
  const DType types[] = {w.type};
  activations.assign(x.data(), w.cols, n_tokens, w.cols, types, pool);
  const std::size_t stride = w.rows + 3;
  std::vector<float> padded(n_tokens * stride + 1, kNan);
  matmul(w, activations, padded.data() + 1, stride, pool);
  EXPECT_TRUE(std::isnan(padded[0]));
  std::vector<float> y;
  for (std::uint32_t t = 0; t < n_tokens; ++t) {
    const float* row = padded.data() + 1 + t * stride;
    y.insert(y.end(), row, row + w.rows);
    for (std::uint32_t i = w.rows; i < stride; ++i) EXPECT_TRUE(std::isnan(row[i]));
  }
  return y;
}

// What the integer path sees of x: 8 bits in groups of 32, computed here in double.
std::vector<double> rounded_activations(DType type, const std::vector<float>& x) {
  std::vector<double> out(x.begin(), x.end());
  if (quant_traits(type) == nullptr) return out;
  for (std::size_t g = 0; g < out.size(); g += 32) {
    double max = 0;
    for (std::size_t i = g; i < g + 32; ++i) max = std::max(max, std::abs(out[i]));
    if (max == 0) continue;
    const float inverse = 127.0F / static_cast<float>(max);
    for (std::size_t i = g; i < g + 32; ++i) {
      out[i] = std::nearbyint(static_cast<float>(out[i]) * inverse) * (max / 127);
    }
  }
  return out;
}

// ||y - oracle|| relative to the root of the summed squares of all terms, so that cancellation in a
// single sum does not matter; the oracle is in double, from dequantised rows.
double relative_error(const MatView& w, const std::vector<double>& x, const std::vector<float>& y) {
  std::vector<float> row(w.cols);
  double error = 0;
  double norm = 0;
  for (std::uint32_t r = 0; r < w.rows; ++r) {
    dequantize_row(w, r, row.data());
    for (std::size_t t = 0; t * w.rows < y.size(); ++t) {
      double sum = 0;
      for (std::uint32_t c = 0; c < w.cols; ++c) {
        const double term = x[t * w.cols + c] * row[c];
        sum += term;
        norm += term * term;
      }
      error += std::pow(y[t * w.rows + r] - sum, 2);
    }
  }
  return std::sqrt(error / norm);
}

class MatmulTest : public testing::TestWithParam<DType> {
 protected:
  ThreadPool pool_{2};
  BestIsaAgain again_;
};

TEST_P(MatmulTest, AgreesWithDoubleOnEveryIsaAndShape) {
  const DType type = GetParam();
  for (const Isa isa : available_isas()) {
    ASSERT_TRUE(select_isa(isa));
    for (const std::uint32_t rows : {1U, 5U, 15U, 16U, 17U, 40U, 64U}) {
      for (const std::uint32_t blocks : {1U, 2U, 3U, 5U}) {
        const RandomMatrix w(type, rows, blocks * smallest_row(type), rows + blocks);
        const auto x = random_floats(3 * w.view().cols);
        const auto y = product(w.view(), x, 3, pool_);
        EXPECT_LT(relative_error(w.view(), rounded_activations(type, x), y), 2e-6)
            << isa_name(isa) << " [" << rows << ", " << w.view().cols << "]";
        EXPECT_LT(relative_error(w.view(), {x.begin(), x.end()}, y), 1.2e-2);
      }
    }
  }
}

// The kernels' own layout gives the bits that rows give, for few tokens and many.
TEST_P(MatmulTest, PackedWeightsGiveTheSameBitsOnEveryIsa) {
  const DType type = GetParam();
  for (const std::uint32_t blocks : {1U, 2U, 5U}) {
    const RandomMatrix w(type, 48, blocks * smallest_row(type), blocks);
    if (!can_pack(w.view())) {
      EXPECT_EQ(quant_traits(type), nullptr);
      continue;
    }
    std::vector<std::byte> bytes(w.view().bytes() + 1);
    const MatView packed = pack(w.view(), bytes.data() + 1, pool_);
    EXPECT_FALSE(can_pack(packed));
    for (const Isa isa : available_isas()) {
      ASSERT_TRUE(select_isa(isa));
      for (const std::uint32_t n_tokens : {1U, 2U, 3U, 9U}) {
        const auto x = random_floats(std::size_t{n_tokens} * packed.cols);
        EXPECT_EQ(product(packed, x, n_tokens, pool_), product(w.view(), x, n_tokens, pool_))
            << isa_name(isa) << " " << n_tokens << " tokens";
        const MatView last = row_range(packed, 32, 16);
        EXPECT_EQ(product(last, x, n_tokens, pool_),
                  product(row_range(w.view(), 32, 16), x, n_tokens, pool_));
      }
    }
    std::vector<float> row(packed.cols), expected(packed.cols);
    for (std::uint32_t r = 0; r < packed.rows; ++r) {
      dequantize_row(packed, r, row.data());
      dequantize_row(w.view(), r, expected.data());
      EXPECT_EQ(std::memcmp(row.data(), expected.data(), row.size() * sizeof(float)), 0) << r;
    }
  }
}

// The contract of model/forward.h: a token's result does not depend on the batch around it.
TEST_P(MatmulTest, SameBitsInEveryBatchOnEveryIsa) {
  const DType type = GetParam();
  const std::uint32_t cols = type == DType::kF32 ? 1003 : 5 * smallest_row(type);
  const RandomMatrix w(type, 50, cols);
  const auto x = random_floats(600 * std::size_t{cols});
  ASSERT_TRUE(select_isa(Isa::kScalar));
  const auto expected = product(w.view(), {x.begin(), x.begin() + 20 * cols}, 20, pool_);
  for (const Isa isa : available_isas()) {
    ASSERT_TRUE(select_isa(isa));
    for (const std::uint32_t n : {1U, 2U, 3U, 5U, 6U, 7U, 8U, 9U, 13U, 20U, 600U}) {
      if (n > 20 && isa == Isa::kScalar) continue;  // Slow, and its tiles have one token anyway.
      const auto y = product(w.view(), {x.begin(), x.begin() + n * cols}, n, pool_);
      const std::size_t same = std::min<std::size_t>(y.size(), expected.size());
      ASSERT_EQ(std::memcmp(y.data(), expected.data(), same * sizeof(float)), 0)
          << isa_name(isa) << " " << n;
      if (n <= 20) continue;
      // The last token, alone.
      const auto last = product(w.view(), {x.end() - cols, x.end()}, 1, pool_);
      ASSERT_EQ(std::memcmp(last.data(), &y[y.size() - 50], 50 * sizeof(float)), 0);
    }
  }
}

TEST_P(MatmulTest, SameBitsWithAnyNumberOfThreads) {
  const RandomMatrix w(GetParam(), 333, 2 * smallest_row(GetParam()));
  const auto x = random_floats(70 * w.view().cols);
  ThreadPool alone(1);
  ThreadPool crowd(5);
  for (const std::uint32_t n : {1U, 70U}) {
    const auto expected = product(w.view(), x, n, alone);
    EXPECT_EQ(product(w.view(), x, n, pool_), expected);
    EXPECT_EQ(product(w.view(), x, n, crowd), expected);
  }
}

TEST_P(MatmulTest, AnyBytesAreSafe) {
  const DType type = GetParam();
  const std::uint32_t cols = 2 * smallest_row(type);
  const auto x = random_floats(2 * cols);
  std::vector<std::byte> bytes(33 * row_bytes(type, cols));
  std::mt19937 rng(7);
  for (int round = 0; round < 6; ++round) {
    for (std::byte& b : bytes) b = round == 0 ? std::byte{255} : static_cast<std::byte>(rng());
    const MatView w{type, 33, cols, bytes.data()};
    std::vector<float> row(cols);
    dequantize_row(w, 32, row.data());
    for (const Isa isa : available_isas()) {
      ASSERT_TRUE(select_isa(isa));
      product(w, x, 2, pool_);
    }
  }
}

TEST_P(MatmulTest, ActivationsThatAreNoNumbersSpoilOnlyTheirToken) {
  const DType type = GetParam();
  const std::uint32_t cols = 2 * smallest_row(type);
  const RandomMatrix w(type, 20, cols);
  auto x = random_floats(3 * cols);
  for (const Isa isa : available_isas()) {
    ASSERT_TRUE(select_isa(isa));
    for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
      const auto good = product(w.view(), x, 3, pool_);
      auto spoilt = x;
      spoilt[cols + 3] = bad;
      const auto y = product(w.view(), spoilt, 3, pool_);
      EXPECT_EQ(std::memcmp(y.data(), good.data(), 20 * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(&y[40], &good[40], 20 * sizeof(float)), 0);
      for (int i = 20; i < 40; ++i) EXPECT_FALSE(std::isfinite(y[static_cast<std::size_t>(i)]));
    }
  }
}

TEST_P(MatmulTest, ZeroAndTinyActivationsGiveZero) {
  const DType type = GetParam();
  const RandomMatrix w(type, 20, smallest_row(type));
  for (const Isa isa : available_isas()) {
    ASSERT_TRUE(select_isa(isa));
    for (const float value : {0.0F, 1e-37F}) {
      const std::vector<float> x(w.view().cols, value);
      for (const float y : product(w.view(), x, 1, pool_)) EXPECT_LT(std::abs(y), 1e-30F);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MatmulTest, testing::ValuesIn(all_types()), type_name);

TEST(IsaTest, UnavailableOnesAreRefusedByName) {
  EXPECT_EQ(available_isas().front(), Isa::kScalar);
  EXPECT_EQ(isa_from_name("avx2"), Isa::kAvx2);
  EXPECT_EQ(isa_from_name("mmx"), std::nullopt);
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    const auto isas = available_isas();
    const bool available = std::find(isas.begin(), isas.end(), isa) != isas.end();
    EXPECT_EQ(select_isa(isa).has_value(), available);
  }
  ASSERT_TRUE(select_isa(available_isas().back()));
}

TEST(MatmulTest, SeveralTypesShareActivations) {
  ThreadPool pool(2);
  const std::uint32_t cols = 512;
  const auto x = random_floats(4 * cols);
  Activations shared;
  const DType types[] = {DType::kQ4_K, DType::kQ6_K, DType::kF16, DType::kQ5_0};
  shared.assign(x.data(), cols, 4, cols, types, pool);
  for (const DType type : types) {
    const RandomMatrix w(type, 48, cols);
    std::vector<float> y(4 * 48);
    matmul(w.view(), shared, y.data(), 48, pool);
    EXPECT_EQ(y, product(w.view(), x, 4, pool)) << dtype_info(type).name;
  }
}

}  // namespace
}  // namespace hearth::tensor

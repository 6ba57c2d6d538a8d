#include "tensor/vector_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tensor/kernels/kernels.h"
#include "tensor/testing.h"

namespace hearth::tensor {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Lengths around the vector width, and some of real models.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> n;
  for (std::size_t i = 1; i <= 49; ++i) n.push_back(i);
  n.insert(n.end(), {64, 80, 127, 128, 896, 1000, 1024});
  return n;
}

// n values at an odd address, NaN on both sides.
template <class T>
class Padded {
 public:
  explicit Padded(std::size_t n, T pad) : n_(n), pad_(pad), bytes_((n + 8) * sizeof(T) + 1) {
    for (std::size_t i = 0; i < n + 8; ++i) std::memcpy(at(i), &pad_, sizeof(T));
  }
  Padded(const std::vector<T>& values, T pad) : Padded(values.size(), pad) {
    std::memcpy(at(4), values.data(), values.size() * sizeof(T));
  }
  // Misaligned by one element of 4 on a byte buffer whose start is aligned to 16.
  T* data() { return reinterpret_cast<T*>(at(4)); }
  std::vector<T> values() {
    std::vector<T> out(n_);
    std::memcpy(out.data(), at(4), n_ * sizeof(T));
    return out;
  }
  bool guards_intact() {
    for (std::size_t i = 0; i < 4; ++i) {
      if (std::memcmp(at(i), &pad_, sizeof(T)) != 0) return false;
      if (std::memcmp(at(n_ + 4 + i), &pad_, sizeof(T)) != 0) return false;
    }
    return true;
  }

 private:
  void* at(std::size_t i) { return bytes_.data() + i * sizeof(T); }
  std::size_t n_;
  T pad_;
  std::vector<std::byte> bytes_;
};

class VectorOpsTest : public testing::TestWithParam<Isa> {
 protected:
  const Kernels& k_ = *kernels_for(GetParam());
  const Kernels& twin_ = *kernels_for(Isa::kScalar);
};

TEST_P(VectorOpsTest, Dot) {
  for (const std::size_t n : lengths()) {
    Padded x(random_floats(n, 3), kNan);
    Padded y(random_floats(n, 4), kNan);
    double expected = 0;
    double size = 0;
    for (std::size_t i = 0; i < n; ++i) {
      expected += static_cast<double>(x.data()[i]) * y.data()[i];
      size += std::abs(static_cast<double>(x.data()[i]) * y.data()[i]);
    }
    const float got = k_.dot(x.data(), y.data(), n);
    EXPECT_NEAR(got, expected, 1e-6 * size) << n;
    EXPECT_EQ(got, twin_.dot(x.data(), y.data(), n)) << n;
  }
}

TEST_P(VectorOpsTest, RmsNorm) {
  for (const std::size_t n : lengths()) {
    Padded x(random_floats(n, 3), kNan);
    Padded weight(random_floats(n, 4), kNan);
    Padded<float> out(n, kNan);
    Padded<float> twin(n, kNan);
    k_.rms_norm(x.data(), weight.data(), n, 1e-5F, out.data());
    twin_.rms_norm(x.data(), weight.data(), n, 1e-5F, twin.data());
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i) mean += std::pow(x.data()[i], 2) / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      const double expected = x.data()[i] / std::sqrt(mean + 1e-5) * weight.data()[i];
      ASSERT_NEAR(out.data()[i], expected, 1e-6 * std::abs(expected) + 1e-9);
    }
    EXPECT_EQ(out.values(), twin.values());
    EXPECT_TRUE(out.guards_intact());
    k_.rms_norm(x.data(), weight.data(), n, 1e-5F, x.data());  // In place.
    EXPECT_EQ(x.values(), out.values());
  }
}

// A few tokens through a state, against one in double.
TEST_P(VectorOpsTest, ScanRows) {
  for (const std::size_t n : {16U, 32U, 64U, 80U, 128U, 256U}) {
    const std::size_t n_rows = n == 80 ? 7 : 128;
    Padded<float> state(std::vector<float>(n_rows * n, 0.0F), kNan);
    Padded<float> twin(std::vector<float>(n_rows * n, 0.0F), kNan);
    std::vector<double> exact(n_rows * n, 0.0);
    for (unsigned token = 0; token < 5; ++token) {
      Padded learns(random_floats(n_rows, 10 + token), kNan);
      Padded reads(random_floats(n_rows, 20 + token), kNan);
      Padded value(random_floats(n, 30 + token), kNan);
      Padded<float> out(n, kNan), sums(n, kNan), twin_out(n, kNan), twin_sums(n, kNan);
      const float decay = 0.9F - 0.1F * static_cast<float>(token);
      k_.sum_rows(state.data(), n_rows, n, learns.data(), sums.data());
      twin_.sum_rows(twin.data(), n_rows, n, learns.data(), twin_sums.data());
      EXPECT_EQ(sums.values(), twin_sums.values());
      k_.scan_rows(state.data(), n_rows, n, decay, learns.data(), value.data(), reads.data(),
                   out.data());
      twin_.scan_rows(twin.data(), n_rows, n, decay, learns.data(), value.data(), reads.data(),
                      twin_out.data());
      EXPECT_EQ(out.values(), twin_out.values());
      EXPECT_EQ(state.values(), twin.values());
      EXPECT_TRUE(state.guards_intact() && out.guards_intact() && sums.guards_intact());
      for (std::size_t i = 0; i < n; ++i) {
        double sum = 0, read = 0, size = 0;
        for (std::size_t r = 0; r < n_rows; ++r) {
          double& cell = exact[r * n + i];
          sum += static_cast<double>(learns.data()[r]) * cell;
          cell = static_cast<double>(decay) * cell +
                 static_cast<double>(learns.data()[r]) * static_cast<double>(value.data()[i]);
          read += static_cast<double>(reads.data()[r]) * cell;
          size += std::abs(static_cast<double>(reads.data()[r]) * cell) + std::abs(cell);
        }
        ASSERT_NEAR(sums.data()[i], sum, 1e-6 * size + 1e-6) << n;
        ASSERT_NEAR(out.data()[i], read, 1e-6 * size) << n;
      }
    }
  }
}

TEST_P(VectorOpsTest, Softmax) {
  for (const std::size_t n : lengths()) {
    auto values = random_floats(n, 5, 10.0F);
    if (n > 3) values[n / 2] = -kInfinity;
    Padded x(values, kNan);
    Padded twin(values, kNan);
    k_.softmax(x.data(), n);
    twin_.softmax(twin.data(), n);
    const double max = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (const float v : values) sum += std::exp(v - max);
    for (std::size_t i = 0; i < n; ++i) {
      const double expected = std::exp(values[i] - max) / sum;
      ASSERT_NEAR(x.data()[i], expected, 5e-6 * expected + 1e-37);  // x - max rounds too.
    }
    EXPECT_EQ(x.values(), twin.values());
    EXPECT_TRUE(x.guards_intact());
  }
}

TEST_P(VectorOpsTest, SoftmaxFarApart) {
  std::vector<float> x = {0.0F, -87.0F, -88.0F, -1000.0F, -std::numeric_limits<float>::max()};
  k_.softmax(x.data(), x.size());
  EXPECT_EQ(x[0], 1.0F);
  EXPECT_NEAR(x[1], std::exp(-87.0), 1e-43);
  EXPECT_EQ(x[3], 0.0F);
  EXPECT_EQ(x[4], 0.0F);
}

TEST_P(VectorOpsTest, GatedActivations) {
  struct Gated {
    void (*Kernels::*kernel)(const float*, const float*, std::size_t, float*);
    double (*twin)(double gate, double up);
  };
  const Gated all[] = {
      {&Kernels::silu_mul, [](double g, double u) { return g / (1 + std::exp(-g)) * u; }},
      {&Kernels::gelu_mul,
       [](double g, double u) {
         return g / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * u;
       }},
      {&Kernels::clamped_swiglu,
       [](double g, double u) {
         g = std::min(g, 7.0);
         return g / (1 + std::exp(-1.702 * g)) * (std::clamp(u, -7.0, 7.0) + 1);
       }},
  };
  for (const Gated& gated : all) {
    for (const std::size_t n : lengths()) {
      auto values = random_floats(n, 6, 8.0F);
      if (n > 2) values[1] = -200.0F;
      if (n > 3) values[2] = 200.0F;
      Padded gate(values, kNan);
      Padded up(random_floats(n, 7, 5.0F), kNan);
      Padded<float> out(n, kNan);
      Padded<float> twin(n, kNan);
      (k_.*gated.kernel)(gate.data(), up.data(), n, out.data());
      (twin_.*gated.kernel)(gate.data(), up.data(), n, twin.data());
      for (std::size_t i = 0; i < n; ++i) {
        const double expected = gated.twin(values[i], up.data()[i]);
        // Far below zero the exponent is large, and its last bit worth much of the result.
        ASSERT_NEAR(out.data()[i], expected, 2e-5 * std::abs(expected) + 1e-30) << values[i];
      }
      EXPECT_EQ(out.values(), twin.values());
      EXPECT_TRUE(out.guards_intact());
    }
  }
}

TEST_P(VectorOpsTest, Softcap) {
  for (const std::size_t n : lengths()) {
    auto values = random_floats(n, 6, 40.0F);
    if (n > 2) values[1] = -1e6F;
    if (n > 3) values[2] = 1e6F;
    Padded x(values, kNan);
    Padded twin(values, kNan);
    k_.softcap(x.data(), n, 30.0F);
    twin_.softcap(twin.data(), n, 30.0F);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_NEAR(x.data()[i], 30 * std::tanh(values[i] / 30.0), 1e-5);
    }
    EXPECT_EQ(x.values(), twin.values());
    EXPECT_TRUE(x.guards_intact());
  }
}

TEST_P(VectorOpsTest, Add) {
  for (const std::size_t n : lengths()) {
    Padded x(random_floats(n, 8), kNan);
    Padded y(random_floats(n, 9), kNan);
    auto expected = y.values();
    for (std::size_t i = 0; i < n; ++i) expected[i] += x.data()[i];
    k_.add(x.data(), n, y.data());
    EXPECT_EQ(y.values(), expected);
    EXPECT_TRUE(y.guards_intact());
  }
}

TEST_P(VectorOpsTest, HalvesBothWays) {
  for (const std::size_t n : lengths()) {
    Padded x(random_floats(n, 10, 100.0F), kNan);
    Padded<F16> halves(n, F16{0x7E00});
    Padded<float> back(n, kNan);
    k_.f16_from_f32(x.data(), n, halves.data());
    k_.f32_from_f16(halves.data(), n, back.data());
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(halves.data()[i], f16_from_f32(x.data()[i]));
      ASSERT_EQ(back.data()[i], f32_from_f16(halves.data()[i]));
    }
    EXPECT_TRUE(halves.guards_intact());
    EXPECT_TRUE(back.guards_intact());
  }
}

TEST_P(VectorOpsTest, AttentionOverHalves) {
  for (const std::size_t n : {8UL, 16UL, 20UL, 64UL, 80UL, 128UL, 131UL}) {
    for (const std::size_t n_rows : {1UL, 3UL, 4UL, 9UL, 32UL}) {
      std::vector<F16> halves(n * n_rows);
      f16_from_f32(random_floats(halves.size(), 11).data(), halves.size(), halves.data());
      Padded rows(halves, F16{0x7E00});
      Padded x(random_floats(n, 12), kNan);
      Padded<float> scores(n_rows, kNan);
      Padded<float> twin(n_rows, kNan);
      k_.dot_f16_rows(rows.data(), n_rows, x.data(), n, scores.data());
      twin_.dot_f16_rows(rows.data(), n_rows, x.data(), n, twin.data());
      for (std::size_t r = 0; r < n_rows; ++r) {
        double expected = 0;
        for (std::size_t i = 0; i < n; ++i) {
          expected += static_cast<double>(f32_from_f16(halves[r * n + i])) * x.data()[i];
        }
        ASSERT_NEAR(scores.data()[r], expected, 1e-4);
      }
      EXPECT_EQ(scores.values(), twin.values());
      EXPECT_TRUE(scores.guards_intact());

      Padded sum(random_floats(n, 13), kNan);
      Padded sum_twin(sum.values(), kNan);
      const auto before = sum.values();
      k_.add_weighted_f16_rows(rows.data(), n_rows, scores.data(), n, sum.data());
      twin_.add_weighted_f16_rows(rows.data(), n_rows, scores.data(), n, sum_twin.data());
      for (std::size_t i = 0; i < n; ++i) {
        double expected = before[i];
        for (std::size_t r = 0; r < n_rows; ++r) {
          expected += static_cast<double>(f32_from_f16(halves[r * n + i])) * scores.data()[r];
        }
        ASSERT_NEAR(sum.data()[i], expected, 1e-3);
      }
      EXPECT_EQ(sum.values(), sum_twin.values());
      EXPECT_TRUE(sum.guards_intact());
    }
  }
}

std::string name_of_isa(const testing::TestParamInfo<Isa>& info) {
  return std::string(isa_name(info.param));
}

INSTANTIATE_TEST_SUITE_P(Isas, VectorOpsTest,
                         testing::ValuesIn(available_isas().begin(), available_isas().end()),
                         name_of_isa);

}  // namespace
}  // namespace hearth::tensor

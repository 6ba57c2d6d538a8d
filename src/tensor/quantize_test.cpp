// Quantising: errors as bands, odd blocks, importance, and the same bytes everywhere.  That the
// errors are no larger than those of the ecosystem's own files is tested in convert/.
#include "tensor/quantize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensor/dequantize.h"
#include "tensor/isa.h"
#include "tensor/testing.h"

namespace hearth::tensor {
namespace {

constexpr DType kWritten[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,  DType::kQ5_1,
                              DType::kQ8_0, DType::kQ2_K, DType::kQ3_K,  DType::kQ4_K,
                              DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL};

std::vector<std::byte> quantized(DType type, const std::vector<float>& values,
                                 const float* importance = nullptr) {
  std::vector<std::byte> bytes(row_bytes(type, values.size()));
  quantize(type, values.data(), importance, values.size(), bytes.data());
  return bytes;
}

std::vector<float> round_trip(DType type, const std::vector<float>& values,
                              const float* importance = nullptr) {
  const std::vector<std::byte> bytes = quantized(type, values, importance);
  std::vector<float> out(values.size());
  dequantize(type, bytes.data(), values.size(), out.data());
  return out;
}

// sqrt(sum w (a - b)^2 / sum w b^2)
double relative_error(const std::vector<float>& a, const std::vector<float>& b,
                      const float* weights = nullptr) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double w = weights == nullptr ? 1.0 : static_cast<double>(weights[i]);
    difference += w * std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += w * std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

// Bands for normally distributed weights: what the number of bits allows, and no more than a few
// percent above it.
TEST(Quantize, ErrorsOfNormalWeightsLieInTheirBands) {
  struct Band {
    DType type;
    double least, most;
  };
  const Band bands[] = {{DType::kQ4_0, 0.070, 0.090},   {DType::kQ4_1, 0.060, 0.085},
                        {DType::kQ5_0, 0.034, 0.045},   {DType::kQ5_1, 0.030, 0.042},
                        {DType::kQ8_0, 0.004, 0.006},   {DType::kQ2_K, 0.25, 0.36},
                        {DType::kQ3_K, 0.13, 0.18},     {DType::kQ4_K, 0.060, 0.080},
                        {DType::kQ5_K, 0.030, 0.040},   {DType::kQ6_K, 0.014, 0.020},
                        {DType::kIQ4_NL, 0.060, 0.080}, {DType::kF16, 0, 3e-4},
                        {DType::kBF16, 0, 2.5e-3},      {DType::kF32, 0, 0}};
  const std::vector<float> values = random_floats(256 * 64, 5, 0.05F);
  for (const Band& band : bands) {
    const double error = relative_error(round_trip(band.type, values), values);
    EXPECT_GE(error, band.least) << dtype_info(band.type).name;
    EXPECT_LE(error, band.most) << dtype_info(band.type).name;
    std::printf("%-7s %.5f\n", std::string(dtype_info(band.type).name).c_str(), error);
  }
}

// Blocks of equal weights, of zeros, of one outlier, of one sign, of tiny and of huge numbers.
TEST(Quantize, OddBlocksKeepTheirShape) {
  for (const DType type : kWritten) {
    const std::string name(dtype_info(type).name);
    EXPECT_EQ(round_trip(type, std::vector<float>(256, 0.0F)), std::vector<float>(256, 0.0F))
        << name;
    for (const float value : {0.25F, -0.25F}) {
      const std::vector<float> same(256, value);
      EXPECT_LE(relative_error(round_trip(type, same), same), 0.02) << name << " " << value;
    }
    std::vector<float> outlier(256, 0.0F);
    outlier[77] = -3.0F;
    // The table of IQ4_NL has no zero: each of the 31 others is off by 1 / 127.
    const double bound = type == DType::kIQ4_NL ? 0.05 : 0.02;
    EXPECT_LE(relative_error(round_trip(type, outlier), outlier), bound) << name;
    for (const float scale : {1e-30F, 1e-6F, 1e3F, 1e9F}) {
      for (const float value : round_trip(type, random_floats(256, 3, scale))) {
        EXPECT_TRUE(std::isfinite(value)) << name << " " << scale;
      }
    }
  }
}

TEST(Quantize, PositiveWeightsAreNoWorse) {
  std::vector<float> values = random_floats(256 * 16, 9, 0.05F);
  for (float& value : values) value = std::abs(value);
  for (const DType type : {DType::kQ4_K, DType::kQ5_K, DType::kQ4_1}) {
    EXPECT_LE(relative_error(round_trip(type, values), values), 0.06) << dtype_info(type).name;
  }
}

// Where the importance says that a column matters, its error shrinks, and the weighted error is
// less than without it.
TEST(Quantize, ImportanceMovesTheError) {
  const std::vector<float> values = random_floats(256 * 64, 6, 0.05F);
  std::vector<float> importance(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) importance[i] = i % 8 == 0 ? 25.0F : 0.5F;
  for (const DType type : kWritten) {
    if (!uses_importance(type)) continue;
    const auto plain = round_trip(type, values);
    const auto guided = round_trip(type, values, importance.data());
    EXPECT_LT(relative_error(guided, values, importance.data()),
              0.97 * relative_error(plain, values, importance.data()))
        << dtype_info(type).name;
  }
}

TEST(Quantize, ImportanceOfNothingIsIgnored) {
  const std::vector<float> values = random_floats(256, 6, 0.05F);
  const std::vector<float> zeros(values.size(), 0.0F);
  for (const DType type : kWritten) {
    const auto error = relative_error(round_trip(type, values), values);
    EXPECT_NEAR(relative_error(round_trip(type, values, zeros.data()), values), error, 0.05 * error)
        << dtype_info(type).name;
  }
}

// What was quantised once stays as it is: the codes of a block are a fixed point.
TEST(Quantize, SecondTimeChangesLittle) {
  const std::vector<float> values = random_floats(256 * 8, 7, 0.05F);
  for (const DType type : {DType::kQ4_0, DType::kQ8_0, DType::kQ6_K, DType::kQ4_K}) {
    const auto once = round_trip(type, values);
    EXPECT_LE(relative_error(round_trip(type, once), once), 0.012) << dtype_info(type).name;
  }
}

TEST(Quantize, EveryInstructionSetGivesTheSameBytes) {
  const std::vector<float> values = random_floats(256 * 32, 8, 0.05F);
  std::vector<float> importance = random_floats(values.size(), 9);
  for (float& value : importance) value = value * value;
  const Isa before = selected_isa();
  for (const DType type : kWritten) {
    ASSERT_TRUE(select_isa(Isa::kScalar));
    const auto expected = quantized(type, values);
    const auto guided = quantized(type, values, importance.data());
    for (const Isa isa : available_isas()) {
      ASSERT_TRUE(select_isa(isa));
      EXPECT_EQ(quantized(type, values), expected) << dtype_info(type).name;
      EXPECT_EQ(quantized(type, values, importance.data()), guided) << dtype_info(type).name;
    }
  }
  ASSERT_TRUE(select_isa(before));
}

TEST(Quantize, HalvesSaturateAndRoundToEven) {
  const std::vector<float> values = {1e6F, -1e6F, 65504.0F, 1.0F + 0x1p-11F, 1.0F + 0x3p-11F, 0.0F};
  const auto halves = round_trip(DType::kF16, values);
  EXPECT_EQ(halves,
            (std::vector<float>{65504.0F, -65504.0F, 65504.0F, 1.0F, 1.0F + 0x1p-9F, 0.0F}));
  const auto brain = round_trip(DType::kBF16, {3.4e38F, 1.0F + 0x1p-8F, 1.0F + 0x3p-8F});
  EXPECT_TRUE(std::isfinite(brain[0]));
  EXPECT_EQ(brain[1], 1.0F);
  EXPECT_EQ(brain[2], 1.0F + 0x1p-6F);
}

}  // namespace
}  // namespace hearth::tensor

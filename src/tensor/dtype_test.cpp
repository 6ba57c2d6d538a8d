#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include "tensor/float_formats.h"

#include <cmath>
#include <limits>

namespace hearth::tensor {
namespace {

TEST(DTypeTest, KnowsSizesAndRefusesOthers) {
  EXPECT_EQ(dtype_info(DType::kQ4_K).name, "Q4_K");
  EXPECT_EQ(row_bytes(DType::kQ4_K, 512), 288U);
  EXPECT_EQ(row_bytes(DType::kQ8_0, 32), 34U);
  EXPECT_EQ(row_bytes(DType::kF16, 3), 6U);
  EXPECT_EQ(dtype_info(4U), nullptr);
  EXPECT_EQ(dtype_info(1000U), nullptr);
  EXPECT_FALSE(dtype_info(DType::kI32).computable);
}

TEST(DTypeDeathTest, RowMustBeWholeBlocks) {
  EXPECT_DEATH(row_bytes(DType::kQ4_K, 255), "check failed");
}

// Every half is the float that its fields spell, and comes back as itself.
TEST(FloatFormatsTest, EveryHalf) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const F16 half = static_cast<F16>(bits);
    const int exponent = static_cast<int>((bits >> 10) & 31);
    const int mantissa = static_cast<int>(bits & 1023);
    const float value = f32_from_f16(half);
    if (exponent == 31 && mantissa != 0) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(f32_from_f16(f16_from_f32(value))));
      continue;
    }
    double expected = exponent == 31  ? std::numeric_limits<double>::infinity()
                      : exponent == 0 ? std::ldexp(mantissa, -24)
                                      : std::ldexp(1024 + mantissa, exponent - 25);
    if (bits & 0x8000) expected = -expected;
    ASSERT_EQ(value, expected) << bits;
    ASSERT_EQ(f16_from_f32(value), half);
  }
}

TEST(FloatFormatsTest, RoundsToNearestEven) {
  EXPECT_EQ(f16_from_f32(1.0F + 0x1p-11F), 0x3C00);  // Tie: to even.
  EXPECT_EQ(f16_from_f32(1.0F + 0x1p-11F + 0x1p-20F), 0x3C01);
  EXPECT_EQ(f16_from_f32(1.0F + 3 * 0x1p-11F), 0x3C02);
  EXPECT_EQ(f16_from_f32(65519.0F), 0x7BFF);
  EXPECT_EQ(f16_from_f32(65520.0F), 0x7C00);
  EXPECT_EQ(f16_from_f32(0x1p-25F), 0x0000);
  EXPECT_EQ(f16_from_f32(0x1.8p-25F), 0x0001);
  EXPECT_EQ(f16_from_f32(-0x1p-24F), 0x8001);
}

}  // namespace
}  // namespace hearth::tensor

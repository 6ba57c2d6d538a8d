// Numbers stored in a page and read back by the plain twin: how near they stay, at any width, and
// that no slot touches its neighbours.
#include "model/kv_page.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "model/kv_page_for_test.h"

namespace hearth::model {
namespace {

struct Case {
  KvType type;
  double error_max;  // Of a number, in parts of its group's largest.
};
// Half a step, and what the scale loses as a half.
constexpr Case kCases[] = {
    {KvType::kF16, 0x1p-11}, {KvType::kQ8_0, 0.5 / 127 + 0x1p-10}, {KvType::kQ4_0, 1.0 / 8 + 0x1p-10}};

KvLayout layout_of(KvType type, std::uint32_t head_dim) {
  return {.n_layers = 2, .n_kv_heads = 3, .head_dim = head_dim, .type = type};
}

double largest_of_group(const std::vector<float>& x, std::uint32_t d) {
  const std::size_t first = d / kKvGroup * kKvGroup;
  double largest = 0;
  for (std::size_t i = first; i < std::min<std::size_t>(x.size(), first + kKvGroup); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
  }
  return largest;
}

TEST(KvPage, NumbersStayNear) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  for (const Case& c : kCases) {
    for (std::uint32_t head_dim = 16; head_dim <= 256; head_dim += 16) {
      const KvLayout layout = layout_of(c.type, head_dim);
      std::vector<std::byte> block(layout.head_bytes());
      std::vector<std::vector<float>> rows;
      for (std::uint32_t slot = 0; slot < kPageTokens; ++slot) {
        std::vector<float> row(head_dim);
        for (float& x : row) x = normal(random) * std::exp2(static_cast<float>(slot) / 2 - 8);
        rows.push_back(row);
      }
      for (const bool is_key : {true, false}) {
        const auto store = is_key ? store_key : store_value;
        const auto read = is_key ? key_in_slot : value_in_slot;
        // All others are written after it, and must leave it alone.
        for (std::uint32_t slot = kPageTokens; slot-- > 0;) {
          store(layout, rows[slot].data(), slot, block.data());
        }
        for (std::uint32_t slot = 0; slot < kPageTokens; ++slot) {
          for (std::uint32_t d = 0; d < head_dim; ++d) {
            ASSERT_NEAR(read(layout, block.data(), slot, d), static_cast<double>(rows[slot][d]),
                        c.error_max * largest_of_group(rows[slot], d))
                << kv_type_name(c.type) << " head_dim " << head_dim << " slot " << slot;
          }
        }
      }
    }
  }
}

TEST(KvPage, ZerosHugeOnesAndWhatIsNoNumber) {
  for (const KvType type : {KvType::kQ8_0, KvType::kQ4_0}) {
    const KvLayout layout = layout_of(type, 64);
    std::vector<std::byte> block(layout.head_bytes(), std::byte{0xFF});
    std::vector<float> row(64, 0.0F);
    row[40] = std::numeric_limits<float>::quiet_NaN();
    store_key(layout, row.data(), 3, block.data());
    for (std::uint32_t d = 0; d < 64; ++d) {
      const double x = key_in_slot(layout, block.data(), 3, d);
      EXPECT_TRUE(d < 32 ? x == 0 : std::isnan(x)) << d;
    }
    row[40] = -1e30F;
    row[41] = 1.0F;
    store_value(layout, row.data(), 31, block.data());
    EXPECT_LT(value_in_slot(layout, block.data(), 31, 40), -5e5);
    EXPECT_EQ(value_in_slot(layout, block.data(), 31, 41), 0.0);
    row[40] = 1e-30F;  // Below the smallest scale.
    store_value(layout, row.data(), 31, block.data());
    EXPECT_EQ(value_in_slot(layout, block.data(), 31, 40), 0.0);
  }
}

TEST(KvLayout, BytesOfATokenByType) {
  // 2 layers of 3 heads of 64, keys and values: 768 numbers.
  EXPECT_EQ(layout_of(KvType::kF16, 64).token_bytes(), 768U * 2);
  EXPECT_EQ(layout_of(KvType::kQ8_0, 64).token_bytes(), 768U + 768 / 32 * 2);
  EXPECT_EQ(layout_of(KvType::kQ4_0, 64).token_bytes(), 768U / 2 + 768 / 32 * 2);
  EXPECT_EQ(kv_type_from_name("q8_0"), KvType::kQ8_0);
  EXPECT_EQ(kv_type_from_name("q5_0"), std::nullopt);
}

}  // namespace
}  // namespace hearth::model

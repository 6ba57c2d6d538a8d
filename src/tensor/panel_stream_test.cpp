// Streams of panels against plain sums in double, and every instruction set against the others.
#include "tensor/panel_stream.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tensor/isa.h"

namespace hearth::tensor {
namespace {

std::vector<float> random_floats(std::size_t n, unsigned seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

struct Case {
  std::uint32_t rows, cols;
};
constexpr Case kCases[] = {{1, 1},  {5, 7},    {16, 32},  {16, 31}, {17, 33},  {16, 1024},
                           {40, 5}, {128, 16}, {100, 64}, {3, 896}, {8, 1024}, {8, 66},
                           {7, 40}, {4, 1024}, {4, 68},   {2, 132}, {4, 66},   {8, 33}};
constexpr float kGuard = 12345.0F;

// y of n_rows rows, each with a guard behind it.
std::vector<float> multiply(const PanelStream& w, const std::vector<float>& x, std::uint32_t n_rows,
                            bool adds) {
  std::vector<float> y(n_rows * (w.rows + 1), 0.5F);
  std::vector<StreamRow> rows;
  for (std::uint32_t i = 0; i < n_rows; ++i) {
    rows.push_back({x.data() + std::size_t{i} * w.cols, y.data() + i * (w.rows + 1)});
    rows.back().y[w.rows] = kGuard;
  }
  multiply_stream(w, 0, w.n_panels(), rows, adds);
  return y;
}

TEST(PanelStream, GivesWhatPlainSumsGive) {
  for (const StreamType type : {StreamType::kF16, StreamType::kInt8}) {
    for (const Case& c : kCases) {
      constexpr std::uint32_t kRows = 6;
      const auto w = random_floats(std::size_t{c.rows} * c.cols, c.rows, 0.1F);
      const auto x = random_floats(std::size_t{kRows} * c.cols, c.cols, 1.0F);
      std::vector<std::byte> bytes(stream_bytes(type, c.rows, c.cols));
      write_stream(type, w.data(), c.rows, c.cols, bytes.data());
      const PanelStream stream{type, c.rows, c.cols, bytes.data()};
      for (const bool adds : {false, true}) {
        const auto y = multiply(stream, x, kRows, adds);
        const double bound = (type == StreamType::kF16 ? 1e-4 : 4e-3) * std::sqrt(c.cols);
        for (std::uint32_t i = 0; i < kRows; ++i) {
          EXPECT_EQ(y[i * (c.rows + 1) + c.rows], kGuard);
          for (std::uint32_t r = 0; r < c.rows; ++r) {
            double sum = adds ? 0.5 : 0.0;
            for (std::uint32_t k = 0; k < c.cols; ++k) {
              sum +=
                  static_cast<double>(w[r * c.cols + k]) * static_cast<double>(x[i * c.cols + k]);
            }
            EXPECT_NEAR(y[i * (c.rows + 1) + r], sum, bound) << c.rows << "x" << c.cols;
          }
        }
      }
    }
  }
}

// Rows alone or together, panels in parts, on any instruction set: the same bits.
TEST(PanelStream, NothingButTheMatrixDecidesTheBits) {
  const Isa before = selected_isa();
  for (const StreamType type : {StreamType::kF16, StreamType::kInt8}) {
    for (const Case& c : kCases) {
      constexpr std::uint32_t kRows = 7;
      const auto w = random_floats(std::size_t{c.rows} * c.cols, c.rows, 0.1F);
      const auto x = random_floats(std::size_t{kRows} * c.cols, c.cols, 1.0F);
      std::vector<std::byte> bytes(stream_bytes(type, c.rows, c.cols) + 1);
      write_stream(type, w.data(), c.rows, c.cols, bytes.data() + 1);
      const PanelStream stream{type, c.rows, c.cols, bytes.data() + 1};
      ASSERT_TRUE(select_isa(Isa::kScalar));
      const auto expected = multiply(stream, x, kRows, true);
      for (const Isa isa : available_isas()) {
        ASSERT_TRUE(select_isa(isa));
        EXPECT_EQ(multiply(stream, x, kRows, true), expected) << isa_name(isa);
        for (std::uint32_t i = 0; i < kRows; ++i) {
          std::vector<float> y(c.rows, 0.5F);
          const StreamRow row{x.data() + std::size_t{i} * c.cols, y.data()};
          for (std::uint32_t panel = 0; panel < stream.n_panels(); ++panel) {
            multiply_stream(stream, panel, 1, {&row, 1}, true);
          }
          EXPECT_TRUE(std::equal(y.begin(), y.end(),
                                 expected.begin() + static_cast<std::ptrdiff_t>(i * (c.rows + 1))));
        }
      }
    }
  }
  ASSERT_TRUE(select_isa(before));
}

// What is Q8_0 already keeps its codes: such a file loses nothing by being resident.
TEST(PanelStream, EightBitCodesSurvive) {
  std::mt19937 random(3);
  std::vector<float> w(std::size_t{16} * 64);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float scale = 0.25F * static_cast<float>(1 + i / 32 % 7);
    const int code = i % 32 == 0 ? 127 : static_cast<int>(random() % 255) - 127;
    w[i] = scale * static_cast<float>(code);
  }
  std::vector<std::byte> bytes(stream_bytes(StreamType::kInt8, 16, 64));
  write_stream(StreamType::kInt8, w.data(), 16, 64, bytes.data());
  const PanelStream stream{StreamType::kInt8, 16, 64, bytes.data()};
  for (std::uint32_t k = 0; k < 64; ++k) {
    std::vector<float> x(64, 0.0F);
    x[k] = 1;
    const auto y = multiply(stream, x, 1, false);
    for (std::uint32_t r = 0; r < 16; ++r) EXPECT_EQ(y[r], w[r * 64 + k]);
  }
}

}  // namespace
}  // namespace hearth::tensor

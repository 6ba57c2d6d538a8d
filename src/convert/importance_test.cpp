#include "convert/importance.h"

#include <gtest/gtest.h>

#include <cstring>

#include "gguf/gguf_writer.h"

namespace hearth::convert {
namespace {

std::string gguf_bytes(std::span<const float> sums, std::span<const float> counts,
                       bool with_counts = true) {
  gguf::GgufWriter writer;
  writer.set_string("general.type", "imatrix");
  const std::uint64_t dims[] = {sums.size() / counts.size(), counts.size()};
  const std::uint64_t count_dims[] = {1, counts.size()};
  writer.add_tensor("blk.0.ffn_up.weight.in_sum2", tensor::DType::kF32, dims, std::as_bytes(sums));
  if (with_counts) {
    writer.add_tensor("blk.0.ffn_up.weight.counts", tensor::DType::kF32, count_dims,
                      std::as_bytes(counts));
  }
  return writer.to_bytes();
}

class DatWriter {
 public:
  void number(std::int32_t value) { text_.append(reinterpret_cast<const char*>(&value), 4); }
  void entry(std::string_view name, std::int32_t calls, std::span<const float> values) {
    number(static_cast<std::int32_t>(name.size()));
    text_ += name;
    number(calls);
    number(static_cast<std::int32_t>(values.size()));
    text_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  std::string text_;
};

Result<Importance> parse(const std::string& bytes) {
  return parse_importance(std::as_bytes(std::span(bytes)), "test.imatrix");
}

TEST(Importance, GgufGivesMeansPerExpert) {
  const float sums[] = {2, 4, 6, 8, 0, 0};
  const float counts[] = {2, 4, 0};
  const auto importance = parse(gguf_bytes(sums, counts));
  ASSERT_TRUE(importance) << importance.error().message;
  // The third expert was never asked: all its inputs count the same.
  EXPECT_EQ(importance->inputs.at("blk.0.ffn_up.weight"),
            (std::vector<float>{1, 2, 1.5F, 2, 1, 1}));
}

// Dividing by less than one call would make numbers that no float holds.
TEST(Importance, FractionsOfACallCountAsNone) {
  const float sums[] = {3e38F, 2, 3, 4};
  const float counts[] = {1e-40F, 1};
  const auto importance = parse(gguf_bytes(sums, counts));
  ASSERT_TRUE(importance) << importance.error().message;
  EXPECT_EQ(importance->inputs.at("blk.0.ffn_up.weight"), (std::vector<float>{1, 1, 3, 4}));
}

TEST(Importance, DatGivesMeans) {
  const float values[] = {10, 20, 30};
  DatWriter dat;
  dat.number(2);
  dat.entry("a.weight", 10, values);
  dat.entry("b.weight", 5, values);
  dat.number(7);
  const auto importance = parse(dat.text_);
  ASSERT_TRUE(importance) << importance.error().message;
  EXPECT_EQ(importance->inputs.at("a.weight"), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(importance->inputs.at("b.weight"), (std::vector<float>{2, 4, 6}));
}

TEST(Importance, EveryTruncationIsAnError) {
  const float values[] = {1, 2, 3, 4};
  DatWriter dat;
  dat.number(2);
  dat.entry("a.weight", 1, values);
  dat.entry("b.weight", 1, values);
  for (std::size_t n = 0; n < dat.text_.size(); ++n) {
    const auto importance = parse(dat.text_.substr(0, n));
    ASSERT_FALSE(importance) << n;
    EXPECT_NE(importance.error().message.find("test.imatrix"), std::string::npos);
  }
  // The last tensor is 4 bytes and then padding to 32.
  const std::string whole = gguf_bytes(values, std::span(values).first(1));
  for (std::size_t n = 0; n + 28 < whole.size(); ++n) EXPECT_FALSE(parse(whole.substr(0, n))) << n;
}

TEST(Importance, WrongContentIsRefused) {
  const float bad[] = {1, -2, 3, 4};
  const float one[] = {1};
  EXPECT_FALSE(parse(gguf_bytes(bad, one)));
  EXPECT_FALSE(parse(gguf_bytes(std::span(bad).first(1), one, false)));
  gguf::GgufWriter model;
  model.set_string("general.architecture", "llama");
  const auto refused = parse(model.to_bytes());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no importance matrix"), std::string::npos);
  DatWriter twice;
  twice.number(2);
  twice.entry("a", 1, one);
  twice.entry("a", 1, one);
  EXPECT_FALSE(parse(twice.text_));
  DatWriter many;
  many.number(1 << 30);
  EXPECT_FALSE(parse(many.text_));
}

}  // namespace
}  // namespace hearth::convert

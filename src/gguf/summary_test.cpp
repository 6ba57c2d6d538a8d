// The summary of a file as a person reads it: shortened, printable, and complete in its sums.
#include "gguf/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "gguf/gguf_writer.h"

namespace hearth::gguf {
namespace {

using ::testing::HasSubstr;

// Keeps the bytes that the parsed file borrows.
struct Made {
  explicit Made(const GgufWriter& writer)
      : bytes(writer.to_bytes()), file(GgufFile::parse(std::as_bytes(std::span(bytes)), "made")) {}
  std::string bytes;
  Result<GgufFile> file;
};

GgufWriter writer_with_everything() {
  GgufWriter writer;
  writer.set_string("general.architecture", "llama");
  writer.set_u32("llama.context_length", 4096);
  writer.set_i32("negative", -7);
  writer.set_u64("huge", ~std::uint64_t{0});
  writer.set_f32("scale", 0.5F);
  writer.set_bool("flag", true);
  writer.set_strings("tokens", std::vector<std::string>{"a", "b", "c", "d"});
  writer.set_i32s("types", std::vector<std::int32_t>{1, -2});
  const auto zeros = [](std::span<std::byte> out) { std::ranges::fill(out, std::byte{0}); };
  const std::uint64_t matrix[] = {64, 3}, row[] = {64};
  writer.add_tensor("norm", tensor::DType::kF32, row, zeros);
  writer.add_tensor("weight", tensor::DType::kF16, matrix, zeros);
  return writer;
}

TEST(Summary, ShowsEveryKindOfValue) {
  const Made made(writer_with_everything());
  ASSERT_TRUE(made.file) << made.file.error().message;
  const Summary summary = summarize(*made.file, {.array_items_max = 3});
  std::vector<std::string> texts;
  for (const auto& entry : summary.metadata) texts.push_back(entry.type + " " + entry.text);
  EXPECT_THAT(texts, testing::ElementsAre("string llama", "u32 4096", "i32 -7",
                                          "u64 18446744073709551615", "f32 0.5", "bool true",
                                          "array of string [\"a\", \"b\", \"c\", ...]",
                                          "array of i32 [1, -2]"));
  EXPECT_EQ(summary.metadata[6].count, 4U);
}

TEST(Summary, SumsBytesByType) {
  const Made made(writer_with_everything());
  ASSERT_TRUE(made.file);
  const Summary summary = summarize(*made.file);
  ASSERT_EQ(summary.types.size(), 2U);
  EXPECT_EQ(summary.types[0].type, "F16");
  EXPECT_EQ(summary.types[0].bytes, 64U * 3 * 2);
  EXPECT_EQ(summary.types[1].type, "F32");
  EXPECT_EQ(summary.types[1].bytes, 64U * 4);
  EXPECT_EQ(summary.n_parameters, 64U * 4);
  EXPECT_EQ(summary.tensors[1].shape, "[3, 64]");
  EXPECT_EQ(summary.file_bytes, made.bytes.size());
}

TEST(Summary, ShortensAndEscapesWhatStrangersWrote) {
  GgufWriter writer;
  writer.set_string("long", std::string(9, 'x') + "\u00E9");
  writer.set_string("fits", std::string(10, 'x'));
  writer.set_string("terminal", "\x1B[2J\n\xFF\u202E");
  const Made made(writer);
  ASSERT_TRUE(made.file) << made.file.error().message;
  const Summary summary = summarize(*made.file, {.text_bytes_max = 10});
  EXPECT_EQ(summary.metadata[0].text, "xxxxxxxxx...");  // Not half of the last character.
  EXPECT_EQ(summary.metadata[1].text, "xxxxxxxxxx");
  EXPECT_EQ(summary.metadata[2].text, "\\x{1b}[2J\\n\\x{ff}\\x{202e}");
}

TEST(Summary, TextHasALineForEachThing) {
  const Made made(writer_with_everything());
  ASSERT_TRUE(made.file);
  const std::string text = to_text(summarize(*made.file));
  EXPECT_THAT(text, HasSubstr("GGUF 3"));
  EXPECT_THAT(text, HasSubstr("llama.context_length  u32 = 4096"));
  EXPECT_THAT(text, HasSubstr("array of string (4) = [\"a\", \"b\", \"c\", \"d\"]"));
  EXPECT_THAT(text, HasSubstr("[3, 64]"));
  EXPECT_THAT(text, HasSubstr("384 bytes in 1 tensors"));
}

}  // namespace
}  // namespace hearth::gguf

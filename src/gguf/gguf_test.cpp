// The GGUF parser on good files, on lies, and on every corruption of a small file.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/temp_folder_for_test.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"

namespace hearth::gguf {
namespace {

using tensor::DType;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Result<GgufFile> parse(std::string_view bytes) {
  return GgufFile::parse(bytes_of(bytes), "test.gguf");
}

std::string error_of(std::string_view bytes) {
  const auto file = parse(bytes);
  return file ? std::string("no error") : file.error().message;
}

// A small file with one value of each kind and three tensors.
GgufWriter small_model() {
  GgufWriter writer;
  writer.set_string("general.architecture", "llama");
  writer.set_u32("llama.block_count", 2);
  writer.set_u64("llama.context_length", 2048);
  writer.set_i32("llama.negative", -3);
  writer.set_f32("llama.rope.freq_base", 10000.0F);
  writer.set_bool("tokenizer.ggml.add_bos_token", true);
  const std::vector<std::string> tokens{"<s>", "", "hello", "\xFF\x00raw"};
  writer.set_strings("tokenizer.ggml.tokens", tokens);
  const std::vector<float> scores{0.0F, -1.0F, -2.5F, 3.0F};
  writer.set_f32s("tokenizer.ggml.scores", scores);
  const std::vector<std::int32_t> types{3, 1, 1, 6};
  writer.set_i32s("tokenizer.ggml.token_type", types);
  static const std::array<float, 8> weights{1, 2, 3, 4, 5, 6, 7, 8};
  const std::uint64_t matrix[] = {4, 2};
  const std::uint64_t vector[] = {8};
  const std::uint64_t blocks[] = {32, 3};
  writer.add_tensor("a.weight", DType::kF32, matrix, std::as_bytes(std::span(weights)));
  writer.add_tensor("b.weight", DType::kF32, vector, std::as_bytes(std::span(weights)));
  writer.add_tensor("c.weight", DType::kQ8_0, blocks,
                    [](std::span<std::byte> out) { std::ranges::fill(out, std::byte{7}); });
  return writer;
}

// A header with chosen counts, and what follows it.
std::string header(std::uint32_t version, std::uint64_t n_tensors, std::uint64_t n_metadata,
                   std::string_view rest = {}) {
  std::string out = "GGUF";
  out.append(reinterpret_cast<const char*>(&version), 4);
  out.append(reinterpret_cast<const char*>(&n_tensors), 8);
  out.append(reinterpret_cast<const char*>(&n_metadata), 8);
  return out.append(rest);
}

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string named(std::string_view name) { return raw(std::uint64_t{name.size()}).append(name); }

std::string tensor_entry(std::string_view name, std::vector<std::uint64_t> dims,
                         std::uint32_t dtype, std::uint64_t offset) {
  std::string out = named(name) + raw(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint64_t dim : dims) out += raw(dim);
  return out + raw(dtype) + raw(offset);
}

TEST(Gguf, RoundTripsEveryKindOfValue) {
  const std::string bytes = small_model().to_bytes();
  const auto file = parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->version(), 3U);
  EXPECT_EQ(file->metadata().size(), 9U);
  EXPECT_EQ(*file->get_string("general.architecture"), "llama");
  EXPECT_EQ(*file->get_u32("llama.block_count"), 2U);
  EXPECT_EQ(*file->get_u32("llama.context_length"), 2048U);
  EXPECT_EQ(file->find("llama.negative")->as_i64(), -3);
  EXPECT_EQ(*file->get_f32("llama.rope.freq_base"), 10000.0F);
  EXPECT_EQ(*file->get_bool("tokenizer.ggml.add_bos_token"), true);
  const auto strings = file->get_strings("tokenizer.ggml.tokens");
  ASSERT_TRUE(strings);
  const std::vector<std::string> tokens(strings->begin(), strings->end());
  EXPECT_EQ(tokens, (std::vector<std::string>{"<s>", "", "hello", "\xFF"}))
      << "a literal ends at its NUL";
  EXPECT_EQ(file->find("tokenizer.ggml.scores")->f64_at(2), -2.5);
  EXPECT_EQ(file->find("tokenizer.ggml.token_type")->u64_at(3), 6U);
  EXPECT_FALSE(file->find("tokenizer.ggml.token_type")->u64_at(4));
}

TEST(Gguf, PlacesTensorsAligned) {
  const std::string bytes = small_model().to_bytes();
  const auto file = parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  const TensorInfo* const a = file->find_tensor("a.weight");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape_text(), "[2, 4]");
  EXPECT_EQ(a->data.size(), 32U);
  float sixth;
  std::memcpy(&sixth, a->data.data() + 20, 4);
  EXPECT_EQ(sixth, 6.0F);
  const TensorInfo* const c = file->find_tensor("c.weight");
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(c->data.size(), 3U * 34);
  EXPECT_EQ(c->data[101], std::byte{7});
  EXPECT_EQ((c->data.data() - file->bytes().data()) % 32, 0);
  EXPECT_EQ(file->find_tensor("d.weight"), nullptr);
}

TEST(Gguf, WritesTheSameToDiskAsToMemory) {
  const TempFolder folder;
  const auto path = folder / "written.gguf";
  const GgufWriter writer = small_model();
  ASSERT_TRUE(writer.write(path));
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const std::string bytes = writer.to_bytes();
  EXPECT_TRUE(std::ranges::equal(file->bytes(), bytes_of(bytes)));
}

TEST(Gguf, CopiesValuesOfAnotherFile) {
  const std::string bytes = small_model().to_bytes();
  const auto file = parse(bytes);
  ASSERT_TRUE(file);
  GgufWriter copy;
  for (const MetadataEntry& entry : file->metadata()) copy.set_value(entry.key, entry.value);
  for (const TensorInfo& t : file->tensors()) {
    copy.add_tensor(t.name, t.type, std::span(t.dims).first(t.n_dims), t.data);
  }
  EXPECT_EQ(copy.to_bytes(), bytes);
}

TEST(Gguf, GettersSayWhatIsWrong) {
  const std::string bytes = small_model().to_bytes();
  const auto file = parse(bytes);
  ASSERT_TRUE(file);
  EXPECT_EQ(*file->get_u32("absent", 7), 7U);
  EXPECT_EQ(file->get_u32("absent").error().message,
            "'test.gguf' lacks the key 'absent': convert the model again");
  EXPECT_NE(
      file->get_u32("llama.negative").error().message.find("'llama.negative' holds no integer"),
      std::string::npos);
  EXPECT_FALSE(file->get_u32("general.architecture"));
  EXPECT_FALSE(file->get_string("llama.block_count"));
  EXPECT_FALSE(file->get_strings("tokenizer.ggml.scores"));
  EXPECT_FALSE(file->get_bool("llama.block_count", true))
      << "a fallback is no cover for a wrong type";
}

TEST(Gguf, NamesWhatIsNoGguf) {
  EXPECT_NE(error_of("").find("is empty"), std::string::npos);
  EXPECT_NE(error_of("Dear diary, today I renamed a file.\n").find("it is a text file"),
            std::string::npos);
  EXPECT_NE(error_of("version https://git-lfs.github.com/spec/v1\noid").find("Git LFS pointer"),
            std::string::npos);
  EXPECT_NE(error_of("<!DOCTYPE html>").find("web page"), std::string::npos);
  EXPECT_NE(error_of(std::string("PK\x03\x04zip")).find("zip archive"), std::string::npos);
  EXPECT_NE(error_of(raw(std::uint64_t{90}) + "{\"__metadata__\"").find("safetensors"),
            std::string::npos);
  EXPECT_NE(error_of("\x01\x02\x03\x04\x05").find("does not begin with 'GGUF'"), std::string::npos);
}

TEST(Gguf, NamesVersionsItDoesNotRead) {
  EXPECT_NE(error_of(header(1, 0, 0)).find("GGUF version 1, versions 2 and 3 are read: convert"),
            std::string::npos);
  EXPECT_NE(error_of(header(4, 0, 0)).find("update Hearth"), std::string::npos);
  EXPECT_NE(error_of(header(0x03000000, 0, 0)).find("big-endian"), std::string::npos);
  EXPECT_TRUE(parse(header(2, 0, 0)));
  EXPECT_TRUE(parse(header(3, 0, 0)));
}

TEST(Gguf, RefusesLyingCountsWithoutAllocating) {
  EXPECT_NE(error_of(header(3, 0, kMetadataCountMax + 1)).find("at most 65536"), std::string::npos);
  EXPECT_NE(error_of(header(3, 0, kMetadataCountMax)).find("ends at byte 24"), std::string::npos);
  EXPECT_NE(error_of(header(3, ~0ULL, 0)).find("claims 18446744073709551615 tensors"),
            std::string::npos);
  const std::string array = named("k") + raw(9U) + raw(5U) + raw(~0ULL);
  EXPECT_NE(error_of(header(3, 0, 1, array)).find("inside the value of key 'k'"),
            std::string::npos);
  const std::string strings = named("k") + raw(9U) + raw(8U) + raw(std::uint64_t{1} << 61);
  EXPECT_NE(error_of(header(3, 0, 1, strings)).find("inside the value of key 'k'"),
            std::string::npos);
  const std::string text = named("k") + raw(8U) + raw(~0ULL) + "abc";
  EXPECT_NE(error_of(header(3, 0, 1, text)).find("inside the value of key 'k'"), std::string::npos);
}

TEST(Gguf, RefusesBadMetadata) {
  const std::string one = named("k") + raw(4U) + raw(1U);
  EXPECT_NE(error_of(header(3, 0, 2, one + one)).find("key 'k' occurs twice"), std::string::npos);
  EXPECT_NE(error_of(header(3, 0, 1, named("k") + raw(13U) + raw(1U))).find("value type 13"),
            std::string::npos);
  EXPECT_NE(error_of(header(3, 0, 1, named("k") + raw(9U) + raw(9U) + raw(0ULL))).find("arrays"),
            std::string::npos);
  EXPECT_NE(error_of(header(3, 0, 1, named("a\nb") + raw(4U) + raw(1U))).find("no valid name"),
            std::string::npos);
  const std::string long_name(kNameBytesMax + 1, 'x');
  EXPECT_NE(error_of(header(3, 0, 1, named(long_name) + raw(4U) + raw(1U))).find("no valid name"),
            std::string::npos);
  const std::string fits(kNameBytesMax, 'x');
  EXPECT_TRUE(parse(header(3, 0, 1, named(fits) + raw(4U) + raw(1U))));
  for (const std::uint32_t alignment : {0U, 4U, 33U, 2U * kAlignmentMax}) {
    const std::string key = named("general.alignment") + raw(4U) + raw(alignment);
    EXPECT_NE(error_of(header(3, 0, 1, key)).find("power of two"), std::string::npos) << alignment;
  }
}

// One tensor entry and 64 KiB of data behind it.
std::string with_tensor(std::string_view entry) {
  return header(3, 1, 0, entry) + std::string(65536, '\0');
}

TEST(Gguf, RefusesBadTensors) {
  EXPECT_TRUE(parse(with_tensor(tensor_entry("t", {32, 4}, 0, 0))));
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {}, 0, 0))).find("0 dimensions"),
            std::string::npos);
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {1, 1, 1, 1, 1}, 0, 0))).find("5 dimensions"),
            std::string::npos);
  EXPECT_NE(
      error_of(with_tensor(tensor_entry("t", {32, 0}, 0, 0))).find("impossible shape [0, 32]"),
      std::string::npos);
  const std::uint64_t half = std::uint64_t{1} << 32;
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {half, half}, 0, 0))).find("impossible shape"),
            std::string::npos);
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {33}, 8, 0))).find("multiple of 32"),
            std::string::npos);
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {32}, 999, 0))).find("type number 999"),
            std::string::npos);
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {32}, 0, 8))).find("multiple of the alignment"),
            std::string::npos);
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {32}, 0, ~0ULL - 31))).find("more than 2^64"),
            std::string::npos);
  EXPECT_NE(error_of(with_tensor(tensor_entry("t", {65536}, 0, 0))).find("tensor 't' needs 262208"),
            std::string::npos);
  const std::string two = tensor_entry("a", {32}, 0, 0) + tensor_entry("b", {32}, 0, 96);
  EXPECT_NE(error_of(header(3, 2, 0, two) + std::string(4096, '\0')).find("'a' and 'b' overlap"),
            std::string::npos);
  const std::string twin = tensor_entry("a", {32}, 0, 0) + tensor_entry("a", {32}, 0, 128);
  EXPECT_NE(error_of(header(3, 2, 0, twin) + std::string(4096, '\0')).find("'a' occurs twice"),
            std::string::npos);
}

// Touches everything that a parsed file hands out, so that a sanitizer sees a bad span.
std::uint64_t walk(const GgufFile& file) {
  std::uint64_t sum = 0;
  for (const MetadataEntry& entry : file.metadata()) {
    for (const std::byte b : entry.value.payload()) sum += static_cast<std::uint64_t>(b);
    if (const auto strings = entry.value.as_strings()) {
      for (const std::string_view s : *strings) sum += s.size();
    }
  }
  for (const TensorInfo& tensor : file.tensors()) {
    for (const std::byte b : tensor.data) sum += static_cast<std::uint64_t>(b);
  }
  return sum;
}

TEST(GgufFormat, EveryPrefixIsAnError) {
  const std::string bytes = small_model().to_bytes();
  const auto whole = parse(bytes);
  ASSERT_TRUE(whole);
  // The last tensor's padding carries nothing: cutting into it is no loss.
  const TensorInfo& last = whole->tensors().back();
  const auto needed =
      static_cast<std::size_t>(last.data.data() + last.data.size() - whole->bytes().data());
  for (std::size_t n = 0; n < needed; ++n) {
    const std::string prefix = bytes.substr(0, n);  // Its own allocation, for the sanitizer.
    const auto file = parse(prefix);
    ASSERT_FALSE(file) << "a prefix of " << n << " bytes was accepted";
    EXPECT_NE(file.error().message.find("test.gguf"), std::string::npos);
  }
  EXPECT_TRUE(parse(bytes.substr(0, needed)));
}

TEST(GgufFormat, EveryCorruptedByteIsAnErrorOrAValidFile) {
  const std::string good = small_model().to_bytes();
  const std::size_t header_bytes = parse(good)->header().size();
  int refused = 0;
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < header_bytes; ++at) {
    for (const int flip : {0x01, 0x40, 0x80, 0xFF}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ flip);
      const auto file = parse(bytes);
      if (file) {
        sum += walk(*file);
      } else {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100) << "most of a header is load-bearing";
  EXPECT_GT(sum, 0U);
}

TEST(GgufFormat, RandomSplicesNeverCrash) {
  const std::string good = small_model().to_bytes();
  std::mt19937 random(7);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    for (int edit = 0; edit < 3; ++edit) {
      const std::size_t at = random() % bytes.size();
      if (random() % 2 == 0) {
        bytes[at] = static_cast<char>(random());
      } else {
        bytes.erase(at, random() % 9);
        bytes.insert(at, std::string(random() % 9, static_cast<char>(random())));
      }
    }
    if (const auto file = parse(bytes)) walk(*file);
  }
}

TEST(GgufShared, ReadsRealFiles) {
  const std::filesystem::path folder = std::filesystem::path(HEARTH_SHARED_DIR);
  if (!std::filesystem::exists(folder / "vocab")) GTEST_SKIP() << "no shared data";
  for (const char* const sub : {"vocab", "parity", "models"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder / sub)) {
      if (entry.path().extension() != ".gguf") continue;
      const auto file = GgufFile::open(entry.path());
      ASSERT_TRUE(file) << file.error().message;
      EXPECT_TRUE(file->get_string("general.architecture")) << entry.path();
    }
  }
}

}  // namespace
}  // namespace hearth::gguf

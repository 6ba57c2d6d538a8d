#include "convert/safetensors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/temp_folder_for_test.h"

namespace hearth::convert {
namespace {

std::string file_of(const std::string& header, std::size_t n_data, std::uint64_t claimed = 0) {
  const std::uint64_t n = claimed != 0 ? claimed : header.size();
  std::string bytes(sizeof n, '\0');
  std::memcpy(bytes.data(), &n, sizeof n);
  return bytes + header + std::string(n_data, '\x01');
}

Result<std::vector<Safetensor>> parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "test.safetensors");
}

constexpr const char* kGood =
    R"({"__metadata__": {"format": "pt"},
        "b": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
        "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}})";

TEST(Safetensors, GivesTensorsInTheOrderOfTheirData) {
  const std::string bytes = file_of(kGood, 16);
  const auto tensors = parse(bytes);
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 2U);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(float_type((*tensors)[0]), tensor::DType::kBF16);
  EXPECT_EQ((*tensors)[1].data.size(), 4U);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string bytes = file_of(kGood, 16);
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(parse(bytes.substr(0, n))) << n;
}

TEST(Safetensors, EveryCorruptedByteIsAnErrorOrHarmless) {
  const std::string good = file_of(kGood, 16);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'\0', '9', '"', '\xFF'}) {
      std::string bytes = good;
      bytes[i] = c;
      const auto tensors = parse(bytes);
      if (!tensors) continue;
      for (const Safetensor& tensor : *tensors) {
        ASSERT_LE(tensor.data.data() + tensor.data.size(),
                  reinterpret_cast<const std::byte*>(bytes.data() + bytes.size()));
      }
    }
  }
}

TEST(Safetensors, LiesAreNamed) {
  const auto tensor = [](const std::string& dtype, const std::string& shape,
                         const std::string& range) {
    return R"({"w": {"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "data_offsets": )" +
           range + "}}";
  };
  const std::string cases[] = {
      file_of("{}", 0, std::uint64_t{1} << 60),
      file_of("[]", 0),
      file_of(tensor("F99", "[1]", "[0, 4]"), 4),
      file_of(tensor("F32", "[2]", "[0, 4]"), 16),
      file_of(tensor("F32", "[4]", "[0, 16]"), 8),
      file_of(tensor("F32", "[1]", "[8, 4]"), 16),
      file_of(tensor("F32", "[-1]", "[0, 4]"), 16),
      file_of(tensor("F32", "[4611686018427387905]", "[0, 4]"), 16),
      file_of(tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0, 4]"), 16),
      file_of(tensor("F32", "[1]", "[0]"), 16),
      file_of(tensor("F32", "[1]", R"("04")"), 16),
      file_of(R"({"w": 3})", 16),
      file_of(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                  "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})",
              16),
  };
  for (const std::string& bytes : cases) {
    const auto tensors = parse(bytes);
    ASSERT_FALSE(tensors) << bytes.substr(8);
    EXPECT_EQ(tensors.error().code, Code::kCorrupt);
    EXPECT_NE(tensors.error().message.find("test.safetensors"), std::string::npos);
  }
}

TEST(Safetensors, IndexesReachNoOtherFolder) {
  const TempFolder folder;
  for (const char* file : {"../secret.safetensors", "/etc/passwd", "a/b.safetensors", ""}) {
    std::ofstream(folder / "model.safetensors.index.json")
        << R"({"weight_map": {"w": ")" << file << R"("}})";
    const auto opened = open_safetensors(folder.path());
    ASSERT_FALSE(opened) << file;
    EXPECT_EQ(opened.error().code, Code::kCorrupt) << opened.error().message;
  }
  std::ofstream(folder / "model.safetensors.index.json")
      << R"({"weight_map": {"w": "a.safetensors"}})";
  std::ofstream(folder / "a.safetensors") << file_of(kGood, 16);
  const auto opened = open_safetensors(folder.path());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("lacks 1 of the 1"), std::string::npos)
      << opened.error().message;
}

}  // namespace
}  // namespace hearth::convert

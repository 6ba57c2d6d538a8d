// Blocks as floats against an implementation that shares nothing with ours
// (testdata/make_block_digests.py).
#include "tensor/dequantize.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "base/digest.h"
#include "base/file.h"
#include "tensor/testing.h"

namespace hearth::tensor {
namespace {

constexpr std::size_t kBlocks = 64;

// The bytes that the script makes.
std::vector<std::byte> blocks_of(DType type) {
  const std::size_t size = dtype_info(type).block_bytes;
  std::vector<std::byte> data(kBlocks * size);
  std::uint32_t state = 1;
  for (std::byte& byte : data) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24);
  }
  for (std::size_t block = 0; block < data.size(); block += size) {
    for (const std::size_t half : half_offsets(type)) data[block + half + 1] = std::byte{0x2C};
    if (type != DType::kIQ1_M) continue;
    data[block + 53] = (data[block + 53] & std::byte{15}) | std::byte{0xC0};
    data[block + 55] = (data[block + 55] & std::byte{15}) | std::byte{0x20};
  }
  return data;
}

std::string digest_of_floats(DType type) {
  const std::vector<std::byte> data = blocks_of(type);
  std::vector<float> values(kBlocks * dtype_info(type).block_elements);
  dequantize(type, data.data(), values.size(), values.data());
  return to_hex(sha256(
      {reinterpret_cast<const char*>(values.data()), values.size() * sizeof values.front()}));
}

TEST(Dequantize, AgreesWithAnotherImplementation) {
  const auto text =
      read_file(std::string(HEARTH_SOURCE_DIR) + "/src/tensor/testdata/block_digests.txt");
  ASSERT_TRUE(text) << text.error().message;
  std::istringstream rows(*text);
  std::string name;
  std::string digest;
  int n_rows = 0;
  while (rows >> name >> digest) {
    for (const DType type : kQuantTypes) {
      if (dtype_info(type).name != name) continue;
      EXPECT_EQ(digest_of_floats(type), digest) << name;
      ++n_rows;
    }
  }
  EXPECT_EQ(n_rows + 1, std::ssize(kQuantTypes));  // The package has no MXFP4.
}

}  // namespace
}  // namespace hearth::tensor

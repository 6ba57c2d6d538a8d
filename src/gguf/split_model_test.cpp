// Models that are cut into several files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/temp_folder_for_test.h"
#include "gguf/split_for_test.h"

namespace hearth::gguf {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class SplitModel : public testing::Test {
 protected:
  SplitModel() {
    GgufWriter writer;
    writer.set_string("general.architecture", "llama");
    const std::uint64_t shape[] = {4, 2};
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      writer.add_tensor(name, tensor::DType::kF32, shape, std::as_bytes(std::span(weights_)));
      weights_[0] += 1;
    }
    HEARTH_CHECK(writer.write(whole()));
  }

  fs::path whole() const { return folder_ / "whole.gguf"; }

  void expect_refused(const fs::path& path, Code code, const std::string& words) {
    const auto file = GgufFile::open(path);
    ASSERT_FALSE(file) << words;
    EXPECT_EQ(file.error().code, code);
    EXPECT_THAT(file.error().message, HasSubstr(words));
  }

  const TempFolder folder_;
  std::vector<float> weights_ = std::vector<float>(8);
};

TEST_F(SplitModel, HasTheTensorsOfAllItsFiles) {
  const auto expected = GgufFile::open(whole());
  ASSERT_TRUE(expected);
  const auto file = GgufFile::open(split(whole(), 3));
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), expected->tensors().size());
  for (const TensorInfo& wanted : expected->tensors()) {
    const TensorInfo* const found = file->find_tensor(wanted.name);
    ASSERT_NE(found, nullptr) << wanted.name;
    EXPECT_EQ(found->dims, wanted.dims);
    EXPECT_TRUE(std::ranges::equal(found->data, wanted.data)) << wanted.name;
  }
  EXPECT_EQ(file->data_ranges().size(), 3U);
  EXPECT_EQ(file->parts().size(), 3U);
}

TEST_F(SplitModel, RefusesWhatIsNotWhole) {
  const fs::path first = split(whole(), 3);
  const fs::path second = split_path(folder_.path(), 1, 3), third = split_path(folder_.path(), 2, 3);
  expect_refused(second, Code::kInvalidArgument, "give the first");
  fs::copy_file(second, third, fs::copy_options::overwrite_existing);
  expect_refused(first, Code::kCorrupt, "says that it is file 2 of 3, 3 of 3 expected");
  fs::remove(third);
  expect_refused(first, Code::kNotFound, "cut-00003-of-00003.gguf");
  const fs::path renamed = folder_ / "model.gguf";
  fs::rename(first, renamed);
  expect_refused(renamed, Code::kInvalidArgument, "00001-of-00003.gguf");
}

TEST_F(SplitModel, RefusesTensorsThatAreTwiceOrMissing) {
  const std::uint64_t shape[] = {4, 2};
  const auto write = [&](std::uint32_t i, std::uint32_t claimed, const char* tensor) {
    GgufWriter part;
    part.set_u32("split.no", i);
    part.set_u32("split.count", 2);
    part.set_u32("split.tensors.count", claimed);
    part.add_tensor(tensor, tensor::DType::kF32, shape, std::as_bytes(std::span(weights_)));
    ASSERT_TRUE(part.write(split_path(folder_.path(), i, 2)));
  };
  write(0, 2, "a");
  write(1, 2, "a");
  expect_refused(split_path(folder_.path(), 0, 2), Code::kCorrupt, "tensor 'a' is in two");
  write(0, 3, "a");
  write(1, 3, "b");
  expect_refused(split_path(folder_.path(), 0, 2), Code::kCorrupt, "3 tensors claimed, 2 found");
}

}  // namespace
}  // namespace hearth::gguf

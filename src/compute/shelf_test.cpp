#include "compute/shelf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/file.h"
#include "base/log.h"
#include "compute/kernels_for_test.h"
#include "compute/receipt.h"

namespace hearth::compute {
namespace {

using testing::HasSubstr;

const TestKernel kScale = {"out f32[n], in f32[n], w f32[n], n i64", "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", "", "tolerance_ulps = 1\n"};

std::shared_ptr<const MachineKey> key_in(const TestFolder& folder) { return *MachineKey::open(folder.path() / "kernel.key"); }

TEST(MachineKey, IsItsOwnersAlone) {
  const TestFolder folder;
  const auto key = key_in(folder);
  const std::filesystem::path file = folder.path() / "kernel.key";
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(key_in(folder)->public_key(), key->public_key());
  EXPECT_TRUE(is_signed_by(key->public_key(), "text", key->sign("text")));
  EXPECT_FALSE(is_signed_by(key->public_key(), "texts", key->sign("text")));
  EXPECT_NE(key->seal("a"), key->seal("b"));
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  EXPECT_EQ(MachineKey::open(file).error().code, Code::kPermissionDenied);
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  ASSERT_EQ(::truncate(file.c_str(), 5), 0);
  EXPECT_EQ(MachineKey::open(file).error().code, Code::kCorrupt);
}

// One kernel for all tests here: it costs three compilations.
const Kernel& scale_kernel() {
  static const auto kernel = build_for_test(kScale);
  return **kernel;
}

std::shared_ptr<const Kernel> copy_of(const Kernel& kernel) {
  return std::make_shared<const Kernel>(Kernel{.contract = kernel.contract, .key = kernel.key, .source = kernel.source, .image = *image_from(kernel.image.bytes), .receipt = kernel.receipt});
}

TEST(Shelf, KeepsWhatWasVerified) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const TestFolder folder;
  const Kernel& kernel = scale_kernel();
  KernelShelf shelf(folder.path() / "kernels", key_in(folder));
  EXPECT_EQ(shelf.find(kernel.key).error().code, Code::kNotFound);
  ASSERT_TRUE(shelf.put(copy_of(kernel)));
  EXPECT_EQ((*shelf.find(kernel.key))->source, kernel.source);

  KernelShelf next(folder.path() / "kernels", key_in(folder));
  const auto found = next.find(kernel.key);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ((*found)->image.bytes, kernel.image.bytes);
  EXPECT_EQ((*found)->receipt, kernel.receipt);
  EXPECT_EQ(*next.find(kernel.key), *found);  // The same one, from memory.
  EXPECT_EQ((*next.find_named("k"))->key, kernel.key);
  EXPECT_EQ((*next.find_named(to_hex(kernel.key).substr(0, 12)))->key, kernel.key);
  EXPECT_EQ(next.find_named("other").error().code, Code::kNotFound);
  EXPECT_EQ(next.all()->size(), 1U);

  const Sha256 asked = sha256("asked");
  EXPECT_FALSE(next.recall(asked));
  ASSERT_TRUE(next.remember(asked, kernel.key));
  EXPECT_EQ(next.recall(asked), kernel.key);

  EXPECT_TRUE(next.drop(kernel.key));
  EXPECT_EQ(next.drop(kernel.key).error().code, Code::kNotFound);
}

TEST(Shelf, RunsNoStrangersImage) {
  HEARTH_SKIP_WITHOUT_JAIL();
  set_log_level(LogLevel::kOff);  // It warns of each, as it should.
  const TestFolder folder, other;
  const Kernel& kernel = scale_kernel();
  const std::filesystem::path place = folder.path() / "kernels";
  const auto file_of = [&] { return std::filesystem::directory_iterator(place)->path(); };
  const auto put = [&] { return KernelShelf(place, key_in(folder)).put(copy_of(kernel)); };
  ASSERT_TRUE(put());
  const std::string good = *read_file(file_of());
  // Any byte that is another, any part that is missing: dropped.
  for (const std::size_t at : {std::size_t{3}, std::size_t{20}, std::size_t{45}, std::size_t{100}, good.size() - 1}) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    ASSERT_TRUE(put());
    std::ofstream(file_of(), std::ios::binary) << damaged;
    EXPECT_EQ(KernelShelf(place, key_in(folder)).find(kernel.key).error().code, Code::kNotFound) << at;
    EXPECT_TRUE(std::filesystem::is_empty(place));
    ASSERT_TRUE(put());
    std::filesystem::resize_file(file_of(), at);
    EXPECT_EQ(KernelShelf(place, key_in(folder)).find(kernel.key).error().code, Code::kNotFound) << at;
  }
  // One that another machine's key has sealed.
  ASSERT_TRUE(put());
  EXPECT_EQ(KernelShelf(place, key_in(other)).find(kernel.key).error().code, Code::kNotFound);
  set_log_level(LogLevel::kWarn);
}

TEST(Receipt, CantBeChanged) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const Kernel& kernel = scale_kernel();
  const auto statement = read_receipt(kernel.receipt);
  ASSERT_TRUE(statement) << statement.error().message;
  EXPECT_EQ(statement->source_sha256, to_hex(sha256(kernel.source)));
  EXPECT_THAT(statement->compiler, HasSubstr("g++ "));
  EXPECT_THAT(statement->flags, testing::Contains("-fno-fast-math"));
  std::string forged = kernel.receipt;
  forged.replace(forged.find("\"max_units\":") + 12, 1, "9");
  EXPECT_EQ(read_receipt(forged).error().code, Code::kCorrupt);
  for (const char* const text : {"", "{}", "[]", "{\"statement\":{},\"key\":\"00\",\"signature\":\"00\"}"}) EXPECT_EQ(read_receipt(text).error().code, Code::kCorrupt);
}

TEST(Receipt, CanBeReplayed) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const VerifyOptions options{.is_timed = false};
  const auto again = replay(scale_kernel(), options);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->same_build);
  EXPECT_TRUE(again->same_results);
  const auto other = copy_of(scale_kernel());
  Kernel changed{.contract = other->contract, .key = other->key, .source = other->source + " ", .image = *image_from(other->image.bytes), .receipt = other->receipt};
  EXPECT_EQ(replay(changed, options).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace hearth::compute

// The store from import to garbage collection, with files that are damaged, cut off and left behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "base/temp_folder_for_test.h"
#include "gguf/gguf_writer.h"
#include "gguf/split_for_test.h"
#include "store/import.h"
#include "store/inventory.h"
#include "store/store_lock.h"
#include "store/upkeep.h"
#include "tensor/pack.h"
#include "tensor/testing.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using gguf::GgufFile;
using tensor::DType;
using tensor::WeightLayout;

constexpr std::uint64_t kRows = 64, kCols = 256;

class PackStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    store_.root = folder_ / "store";
  }

  static std::string matrix(unsigned seed) {
    std::string bytes(kRows * tensor::row_bytes(DType::kQ8_0, kCols), '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<char>((i * 31 + seed * 97) ^ (i >> 7));
    }
    return bytes;
  }

  // A file with a small vector, a matrix that all have and one for each of `seeds`.
  fs::path make_file(std::string_view name, std::initializer_list<unsigned> seeds) const {
    gguf::GgufWriter writer;
    const std::vector<std::string> tokens = {"<s>", "a", "b"};
    writer.set_string("general.architecture", "llama");
    writer.set_string("general.name", name);
    writer.set_string("tokenizer.ggml.model", "llama");
    writer.set_strings("tokenizer.ggml.tokens", tokens);
    writer.set_u32("tokenizer.ggml.bos_token_id", 0);
    const std::uint64_t vector_dims[] = {kCols}, dims[] = {kCols, kRows};
    std::vector<std::string> kept = {std::string(kCols * 4, 'v'), matrix(0)};
    for (const unsigned seed : seeds) kept.push_back(matrix(seed));
    writer.add_tensor("norm", DType::kF32, vector_dims, std::as_bytes(std::span(kept[0])));
    for (std::size_t i = 1; i < kept.size(); ++i) {
      writer.add_tensor("m" + std::to_string(i), DType::kQ8_0, dims,
                        std::as_bytes(std::span(kept[i])));
    }
    const fs::path path = folder_ / (std::string(name) + ".gguf");
    EXPECT_TRUE(writer.write(path));
    return path;
  }

  static std::vector<WeightLayout> layouts_of(const GgufFile& file) {
    std::vector<WeightLayout> layouts;
    for (const auto& info : file.tensors()) {
      layouts.push_back(info.n_dims == 2 ? WeightLayout::kPacked : WeightLayout::kRows);
    }
    return layouts;
  }

  Result<ImportReport> import(const fs::path& path, bool replace = false) {
    const GgufFile file = GgufFile::open(path).value();
    const auto layouts = layouts_of(file);
    return import_model(file, {.store = store_,
                               .name = path.stem().string(),
                               .layouts = layouts,
                               .replace = replace,
                               .n_threads = 1});
  }

  std::vector<std::string> problems() const { return verify_store(store_).value().problems; }

  // The bytes of every tensor, unpacked, equal the file's.
  void expect_same(const fs::path& source, std::string_view name) const {
    const GgufFile file = GgufFile::open(source).value();
    const auto stored = GgufFile::open_model(store_.manifest(name));
    ASSERT_TRUE(stored) << stored.error().message;
    ASSERT_EQ(stored->tensors().size(), file.tensors().size());
    for (std::size_t i = 0; i < file.tensors().size(); ++i) {
      const auto& from = file.tensors()[i];
      const auto& to = stored->tensors()[i];
      EXPECT_EQ(to.name, from.name);
      EXPECT_EQ(to.dims, from.dims);
      ASSERT_EQ(to.data.size(), from.data.size());
      if (to.layout == WeightLayout::kRows) {
        EXPECT_TRUE(std::ranges::equal(to.data, from.data)) << from.name;
        continue;
      }
      std::vector<std::byte> packed(from.data.size());
      ThreadPool pool(1);
      (void)tensor::pack({from.type, kRows, kCols, from.data.data()}, packed.data(), pool);
      EXPECT_TRUE(std::ranges::equal(to.data, packed)) << from.name;
    }
    EXPECT_EQ(stored->get_string("general.name").value(), file.get_string("general.name").value());
    EXPECT_EQ(stored->find("tokenizer.ggml.tokens"), nullptr);
  }

  fs::path only_pack() const {
    const Inventory inventory = Inventory::read(store_);
    EXPECT_EQ(inventory.packs.size(), 1U);
    return inventory.packs.at(0).path;
  }

  static void flip_byte(const fs::path& path, std::uint64_t at) {
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  TempFolder folder_;
  gguf::StorePaths store_;
};

TEST_F(PackStoreTest, EqualTensorsAreStoredOnce) {
  const fs::path one = make_file("one", {1, 2}), two = make_file("two", {2, 3});
  const auto first = import(one);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->new_bytes, first->bytes);
  const auto second = import(two);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->new_bytes, matrix(3).size());  // The rest is the first one's.
  expect_same(one, "one");
  expect_same(two, "two");
  EXPECT_TRUE(problems().empty());
  const StoreUsage usage = usage_of(Inventory::read(store_));
  EXPECT_EQ(usage.shared_bytes, second->bytes - second->new_bytes);
  EXPECT_EQ(usage.unnamed_bytes, 0U);
  // A third of nothing new takes no pack.
  fs::copy_file(one, folder_ / "three.gguf");
  EXPECT_EQ(import(folder_ / "three.gguf")->new_bytes, 0U);
  EXPECT_EQ(Inventory::read(store_).packs.size(), 2U);
  expect_same(one, "three");
}

TEST_F(PackStoreTest, AModelThatIsCutIntoFilesIsStoredInOnePiece) {
  const fs::path whole = make_file("whole", {1, 2, 3});
  const fs::path first = gguf::split(whole, 2);
  const auto report = import(first);
  ASSERT_TRUE(report) << report.error().message;
  expect_same(whole, first.stem().string());
  EXPECT_EQ(GgufFile::open_model(report->manifest)->find("split.count"), nullptr);
  EXPECT_TRUE(problems().empty());
}

TEST_F(PackStoreTest, ExtentsBeginAtLargePages) {
  ASSERT_TRUE(import(make_file("one", {1, 2})));
  const auto pack = gguf::PackFile::open(only_pack()).value();
  EXPECT_EQ(pack->objects().front().offset % gguf::kExtentAlignment, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pack->bytes().data()) % gguf::kExtentAlignment, 0U);
  for (const auto& object : pack->objects()) EXPECT_EQ(object.offset % gguf::kObjectAlignment, 0U);
}

TEST_F(PackStoreTest, ANameIsReplacedOnlyWhenAsked) {
  const fs::path path = make_file("one", {1});
  ASSERT_TRUE(import(path));
  const auto again = import(path);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kInvalidArgument);
  EXPECT_TRUE(import(path, true));
  expect_same(path, "one");
}

TEST_F(PackStoreTest, RemovingFreesWhatOnlyThatModelHad) {
  const fs::path one = make_file("one", {1, 2, 3, 4}), two = make_file("two", {4});
  ASSERT_TRUE(import(one));
  ASSERT_TRUE(import(two));
  // Most of the first pack is named by nobody now: the rest moves, and the manifest follows.
  const auto freed = remove_model(store_, "one");
  ASSERT_TRUE(freed) << freed.error().message;
  EXPECT_EQ(freed->n_files, 1U);
  expect_same(two, "two");
  EXPECT_TRUE(problems().empty());
  EXPECT_EQ(usage_of(Inventory::read(store_)).unnamed_bytes, 0U);

  ASSERT_TRUE(remove_model(store_, "two"));
  EXPECT_TRUE(Inventory::read(store_).packs.empty());
  EXPECT_TRUE(fs::is_empty(store_.vocab()));
  EXPECT_EQ(remove_model(store_, "two").error().code, Code::kNotFound);
}

TEST_F(PackStoreTest, AFlippedByteIsFoundAndRepairedByImportingAgain) {
  const fs::path path = make_file("one", {1, 2});
  ASSERT_TRUE(import(path));
  const fs::path pack = only_pack();
  flip_byte(pack, fs::file_size(pack) - 7);
  const auto report = verify_store(store_).value();
  ASSERT_EQ(report.problems.size(), 2U);  // The pack's bytes, and whom it concerns.
  EXPECT_EQ(report.bad_models, std::vector<std::string>{"one"});
  ASSERT_TRUE(import(path, true));
  expect_same(path, "one");
  ASSERT_TRUE(collect_garbage(store_));
}

TEST_F(PackStoreTest, EachByteOfAManifestMatters) {
  ASSERT_TRUE(import(make_file("one", {1})));
  const fs::path path = store_.manifest("one");
  const std::string bytes = read_file(path).value();
  for (std::size_t i = 0; i < bytes.size(); i += 7) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    const auto parsed = gguf::Manifest::parse(std::as_bytes(std::span(bad)), "bad");
    EXPECT_FALSE(parsed) << "byte " << i;
    const auto cut = gguf::Manifest::parse(std::as_bytes(std::span(bytes)).first(i), "cut");
    EXPECT_FALSE(cut) << "prefix " << i;
  }
  const std::uint32_t version = gguf::kStoreVersion + 1;
  std::string newer = bytes;
  std::memcpy(newer.data() + 8, &version, sizeof version);
  EXPECT_EQ(gguf::Manifest::parse(std::as_bytes(std::span(newer)), "newer").error().code,
            Code::kUnsupported);
}

TEST_F(PackStoreTest, APackThatIsCutOffIsAnError) {
  ASSERT_TRUE(import(make_file("one", {1})));
  const fs::path pack = only_pack();
  fs::permissions(pack, fs::perms::owner_write, fs::perm_options::add);
  fs::resize_file(pack, fs::file_size(pack) / 2);
  const auto opened = GgufFile::open_model(store_.manifest("one"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kCorrupt);
  EXPECT_FALSE(problems().empty());
}

TEST_F(PackStoreTest, AFileCutOffWhileMappedReadsAsZerosAndSaysSo) {
  ASSERT_TRUE(import(make_file("one", {1, 2, 3})));
  const fs::path pack = only_pack();
  const auto opened = GgufFile::open_model(store_.manifest("one"));
  ASSERT_TRUE(opened);
  fs::permissions(pack, fs::perms::owner_write, fs::perm_options::add);
  fs::resize_file(pack, 4096);
  EXPECT_FALSE(opened->is_damaged());
  unsigned sum = 0;
  for (const auto& info : opened->tensors()) {
    for (const std::byte byte : info.data) sum += static_cast<unsigned>(byte);
  }
  EXPECT_EQ(sum, 0U);
  EXPECT_TRUE(opened->is_damaged());
}

TEST_F(PackStoreTest, AnInterruptedImportLeavesTheStoreAsItWas) {
  const fs::path path = make_file("one", {1, 2});
  const GgufFile file = GgufFile::open(path).value();
  const auto layouts = layouts_of(file);
  for (int left = 0; left < 4; ++left) {
    int calls = 0;
    const auto stopped = import_model(
        file, {.store = store_, .name = "one", .layouts = layouts, .n_threads = 1,
               .progress = [&](const ImportProgress&) { return calls++ < left; }});
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Code::kCancelled);
    EXPECT_TRUE(fs::is_empty(store_.packs()));
    EXPECT_TRUE(fs::is_empty(store_.models()));
  }
}

TEST_F(PackStoreTest, LeftoversGoWithTheNextWriter) {
  ASSERT_TRUE(import(make_file("one", {1})));
  std::ofstream(store_.packs() / ".new-abcdef") << "half a pack";
  std::ofstream(store_.models() / ".new-abcdef") << "half a manifest";
  EXPECT_TRUE(problems().empty());
  ASSERT_TRUE(import(make_file("two", {2})));
  EXPECT_FALSE(fs::exists(store_.packs() / ".new-abcdef"));
  EXPECT_FALSE(fs::exists(store_.models() / ".new-abcdef"));
}

TEST_F(PackStoreTest, AnotherWriterIsWaitedFor) {
  auto lock = std::make_unique<StoreLock>(StoreLock::take(store_).value());
  int asked = 0;
  const auto refused = StoreLock::take(store_, [&] { return ++asked < 2; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kCancelled);
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    lock.reset();
  });
  EXPECT_TRUE(StoreLock::take(store_));
}

TEST_F(PackStoreTest, NamesCannotLeadOutOfTheFolder) {
  for (const char* name : {"../../x", "/etc/x", ".hidden", "a/b", "a b", "qwen3:0.6b", "%"}) {
    const fs::path path = store_.manifest(name);
    EXPECT_EQ(path.parent_path(), store_.models()) << name;
    EXPECT_NE(path.filename().native()[0], '.') << name;
  }
  EXPECT_NE(store_.manifest("a/b"), store_.manifest("a%2Fb"));
}

}  // namespace
}  // namespace hearth::store

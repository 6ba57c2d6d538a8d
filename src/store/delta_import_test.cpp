// Models that are kept as differences of another one: imported, opened, verified, collected, refused.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "base/temp_folder_for_test.h"
#include "gguf/gguf_writer.h"
#include "gguf/restored_tensors.h"
#include "store/catalogue.h"
#include "store/import.h"
#include "store/inventory.h"
#include "store/upkeep.h"
#include "tensor/pack.h"
#include "tensor/testing.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using gguf::GgufFile;
using tensor::DType;
using tensor::WeightLayout;

class DeltaImportTest : public testing::Test {
 protected:
  void SetUp() override {
    store_.root = folder_ / "store";
  }

  // A packed matrix, one in half precision, one that all have, and a vector; `change` of the first
  // two's bytes are one more than in the base.
  fs::path make_file(const std::string& name, unsigned change) const {
    const tensor::RandomMatrix codes(DType::kQ8_0, 128, 1024), halves(DType::kF16, 128, 1024, 2),
        same(DType::kQ4_K, 128, 1024, 3);
    std::vector<std::vector<std::byte>> kept;
    for (const tensor::RandomMatrix* m : {&codes, &halves, &same}) {
      kept.emplace_back(m->view().data, m->view().data + m->view().bytes());
    }
    std::mt19937 random(change);
    for (std::size_t m = 0; m < 2 && change > 0; ++m) {
      for (std::size_t i = 0; i < kept[m].size(); i += 2) {
        if (random() % 8 == 0) kept[m][i] = static_cast<std::byte>(static_cast<unsigned>(kept[m][i]) + 1);
      }
    }
    kept.emplace_back(1024 * sizeof(float), static_cast<std::byte>(change));
    gguf::GgufWriter writer;
    const std::vector<std::string> tokens = {"<s>", "a", "b"};
    writer.set_string("general.architecture", "llama");
    writer.set_string("tokenizer.ggml.model", "llama");
    writer.set_strings("tokenizer.ggml.tokens", tokens);
    const std::uint64_t dims[] = {1024, 128}, vector_dims[] = {1024};
    writer.add_tensor("codes", DType::kQ8_0, dims, kept[0]);
    writer.add_tensor("halves", DType::kF16, dims, kept[1]);
    writer.add_tensor("same", DType::kQ4_K, dims, kept[2]);
    writer.add_tensor("norm", DType::kF32, vector_dims, kept[3]);
    const fs::path path = folder_ / (name + ".gguf");
    EXPECT_TRUE(writer.write(path));
    return path;
  }

  Result<ImportReport> import(const fs::path& path, DeltaChoice delta = {},
                              std::function<bool(const ImportProgress&)> progress = {}) {
    const GgufFile file = GgufFile::open(path).value();
    std::vector<WeightLayout> layouts;
    for (const auto& info : file.tensors()) {
      const bool packs = info.n_dims == 2 && info.type != DType::kF16;
      layouts.push_back(packs ? WeightLayout::kPacked : WeightLayout::kRows);
    }
    return import_model(file, {.store = store_,
                               .name = path.stem().string(),
                               .layouts = layouts,
                               .delta = std::move(delta),
                               .replace = true,
                               .n_threads = 2,
                               .progress = std::move(progress)});
  }

  // Its tensors as they are in memory once they are restored.
  std::vector<std::vector<std::byte>> tensors_of(std::string_view name) const {
    const auto file = GgufFile::open_model(store_.manifest(name));
    EXPECT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->restore());
    std::vector<std::vector<std::byte>> tensors;
    for (const auto& info : file->tensors()) tensors.emplace_back(info.data.begin(), info.data.end());
    return tensors;
  }

  std::vector<std::string> problems() const { return verify_store(store_).value().problems; }

  TempFolder folder_;
  gguf::StorePaths store_;
};

TEST_F(DeltaImportTest, AnExactDifferenceIsTheWholeModelInLessRoom) {
  ASSERT_TRUE(import(make_file("base", 0)));
  const fs::path tuned = make_file("tuned", 1);
  const auto made = import(tuned, {"base"});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->n_deltas, 2U);
  EXPECT_LT(made->new_bytes, made->delta_whole_bytes / 2);
  EXPECT_EQ(made->shared_bytes, 128 * tensor::row_bytes(DType::kQ4_K, 1024));
  EXPECT_TRUE(made->losses.empty());
  const auto as_delta = tensors_of("tuned");

  fs::copy_file(tuned, folder_ / "whole.gguf");
  ASSERT_TRUE(import(folder_ / "whole.gguf"));
  EXPECT_EQ(tensors_of("whole"), as_delta);
  EXPECT_EQ(problems(), std::vector<std::string>{});
  EXPECT_EQ(deltas_of(store_, "base"), std::vector<std::string>{"tuned"});
  EXPECT_EQ(delta_base_of(gguf::Manifest::open(store_.manifest("tuned")).value()), "base");
}

TEST_F(DeltaImportTest, ABaseStaysWhileItIsOne) {
  ASSERT_TRUE(import(make_file("base", 0)));
  ASSERT_TRUE(import(make_file("tuned", 1), {"base"}));
  const auto before = tensors_of("tuned");
  const auto refused = remove_model(store_, "base");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("'base' is the base of tuned"), std::string::npos);
  // Even without its manifest nothing that is needed goes, and what moves is found.
  fs::remove(store_.manifest("base"));
  ASSERT_TRUE(collect_garbage(store_));
  EXPECT_EQ(problems(), std::vector<std::string>{});
  EXPECT_EQ(tensors_of("tuned"), before);
  ASSERT_TRUE(remove_model(store_, "tuned"));
  EXPECT_TRUE(Inventory::read(store_).packs.empty());
}

TEST_F(DeltaImportTest, GarbageIsCollectedAroundADifference) {
  ASSERT_TRUE(import(make_file("base", 0)));
  ASSERT_TRUE(import(make_file("tuned", 1), {"base"}));
  const auto before = tensors_of("tuned");
  for (unsigned i = 2; i < 5; ++i) {  // Each leaves most of its pack unnamed.
    ASSERT_TRUE(import(make_file("other", i), {"base"}));
    ASSERT_TRUE(collect_garbage(store_));
    EXPECT_EQ(problems(), std::vector<std::string>{});
  }
  EXPECT_EQ(tensors_of("tuned"), before);
  EXPECT_EQ(usage_of(Inventory::read(store_)).unnamed_bytes, 0U);
  ASSERT_TRUE(remove_model(store_, "other"));
  ASSERT_TRUE(remove_model(store_, "tuned"));
  ASSERT_TRUE(remove_model(store_, "base"));
}

TEST_F(DeltaImportTest, SignsTakeABitAndSayWhatTheyLose) {
  ASSERT_TRUE(import(make_file("base", 0)));
  const auto made = import(make_file("tuned", 1), {"base", gguf::DeltaForm::kSigns});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->losses.size(), 2U);
  for (const DeltaLoss& loss : made->losses) {
    EXPECT_GT(loss.relative, 0.1) << loss.tensor;
    EXPECT_LT(loss.relative, 1.0) << loss.tensor;
  }
  EXPECT_LT(made->delta_bytes, made->delta_whole_bytes / 7);
  EXPECT_EQ(problems(), std::vector<std::string>{});
  // The vector is kept as it is.
  EXPECT_EQ(tensors_of("tuned")[3], std::vector<std::byte>(1024 * sizeof(float), std::byte{1}));
}

TEST_F(DeltaImportTest, WhatCanBeNoBaseIsRefused) {
  const fs::path tuned = make_file("tuned", 1);
  EXPECT_EQ(import(tuned, {"base"}).error().code, Code::kNotFound);
  ASSERT_TRUE(import(make_file("base", 0)));
  EXPECT_EQ(import(make_file("base", 0), {"base"}).error().code, Code::kInvalidArgument);
  ASSERT_TRUE(import(tuned, {"base"}));
  const auto chained = import(make_file("more", 2), {"tuned"});
  ASSERT_FALSE(chained);
  EXPECT_NE(chained.error().message.find("--delta-of base"), std::string::npos);
}

TEST_F(DeltaImportTest, AnInterruptedImportLeavesTheStoreAsItWas) {
  ASSERT_TRUE(import(make_file("base", 0)));
  const fs::path tuned = make_file("tuned", 1);
  for (int left = 0; left < 4; ++left) {
    int calls = 0;
    const auto stopped = import(tuned, {"base"}, [&](const ImportProgress&) { return calls++ < left; });
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Code::kCancelled);
    EXPECT_EQ(Inventory::read(store_).packs.size(), 1U);
    EXPECT_FALSE(fs::exists(store_.manifest("tuned")));
  }
}

TEST_F(DeltaImportTest, AFlippedByteOfADifferenceOrOfItsBaseIsNamed) {
  ASSERT_TRUE(import(make_file("base", 0)));
  ASSERT_TRUE(import(make_file("tuned", 1), {"base"}));
  for (const bool of_base : {false, true}) {
    const auto manifest = gguf::Manifest::open(store_.manifest("tuned")).value();
    const auto wanted = std::ranges::find_if(manifest.refs(), [&](const gguf::TensorRef& ref) {
      return of_base ? &ref == &manifest.refs().back() : gguf::is_delta(ref.layout);
    });
    const fs::path pack = store_.pack(manifest.packs()[wanted->pack].id);
    fs::permissions(pack, fs::perms::owner_write, fs::perm_options::add);
    std::string bytes = read_file(pack).value();
    const std::size_t at = wanted->offset + wanted->bytes / 2;
    const auto flip = [&] {
      bytes[at] = static_cast<char>(bytes[at] ^ 1);
      ASSERT_TRUE(write_file_atomic(pack, bytes));
    };
    flip();
    const auto bad = verify_store(store_).value().bad_models;
    EXPECT_NE(std::ranges::find(bad, "tuned"), bad.end());
    flip();
    EXPECT_EQ(problems(), std::vector<std::string>{});
  }
}

TEST_F(DeltaImportTest, AnAdapterOfTheStoreIsListedRemovedAndKeepsItsBase) {
  ASSERT_TRUE(import(make_file("base", 0)));
  gguf::GgufWriter writer;
  const std::vector<float> values(64, 0.5F);
  const std::uint64_t dims[] = {16, 4};
  writer.set_string("general.type", "adapter");
  writer.set_string("general.architecture", "llama");
  writer.set_string("adapter.type", "lora");
  writer.set_string(gguf::kDeltaOfKey, "base");
  writer.add_tensor("blk.0.attn_q.weight.lora_a", DType::kF32, dims, std::as_bytes(std::span(values)));
  writer.add_tensor("blk.0.attn_q.weight.lora_b", DType::kF32, dims, std::as_bytes(std::span(values)));
  ASSERT_TRUE(store_adapter(store_, "tuned", writer.to_bytes(), false));
  EXPECT_FALSE(store_adapter(store_, "tuned", writer.to_bytes(), false));
  EXPECT_EQ(problems(), std::vector<std::string>{});
  const Catalogue catalogue = Catalogue::scan({.store = store_.root, .scan_other_programs = false});
  ASSERT_EQ(catalogue.adapters().size(), 1U);
  EXPECT_EQ(catalogue.adapters()[0].name, "tuned");
  EXPECT_FALSE(remove_model(store_, "base"));
  EXPECT_EQ(remove_model(store_, "tuned")->n_files, 1U);
  EXPECT_TRUE(remove_model(store_, "base"));
}

}  // namespace
}  // namespace hearth::store

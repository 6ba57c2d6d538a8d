// A model of the store computes what its file computes: the same bits for the same tokens, whether
// its weights lie in packs, in the file or in a packed copy.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "gguf/gguf_file.h"
#include "model/model.h"
#include "model/packed_weights.h"
#include "model/session_for_test.h"
#include "store/import.h"
#include "store/upkeep.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

class StoreParity : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "hearth-parity-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  Result<fs::path> import(const fs::path& path) {
    HEARTH_TRY(const gguf::GgufFile file, gguf::GgufFile::open(path));
    HEARTH_TRY(const auto layouts, model::store_layouts(file));
    HEARTH_TRY(const store::ImportReport report,
               store::import_model(file, {.store = {folder_ / "store"},
                                          .name = path.stem().string(),
                                          .layouts = layouts,
                                          .n_threads = 2}));
    return report.manifest;
  }

  fs::path folder_;
};

// Logits of every position of a short prompt.
std::vector<float> logits_of(const model::Model& model) {
  model::SessionForTest session(model);
  std::vector<text::TokenId> tokens;
  for (std::uint32_t i = 0; i < 40; ++i) {
    tokens.push_back(static_cast<text::TokenId>((i * 7 + 1) % model.config().n_vocab));
  }
  return session.run(tokens);
}

void expect_equal_bits(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

TEST_F(StoreParity, EveryParityModelComputesTheSameBits) {
  const fs::path folder = fs::path(HEARTH_SHARED_DIR) / "parity";
  if (!fs::exists(folder)) GTEST_SKIP() << "no models in " << folder;
  int n_models = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto from_file = model::Model::load(entry.path());
    if (!from_file) continue;  // Adapters, encoders, and what this build does not run.
    SCOPED_TRACE(entry.path().filename().string());
    const auto manifest = import(entry.path());
    ASSERT_TRUE(manifest) << manifest.error().message;
    const auto from_store = model::Model::load(*manifest);
    ASSERT_TRUE(from_store) << from_store.error().message;
    const auto packed = model::Model::load(entry.path(), {.pack = true});
    ASSERT_TRUE(packed);
    const std::vector<float> wanted = logits_of(**from_file);
    expect_equal_bits(logits_of(**from_store), wanted);
    expect_equal_bits(logits_of(**packed), wanted);

    const model::ModelConfig &a = (*from_file)->config(), &b = (*from_store)->config();
    EXPECT_EQ(a.n_context_train, b.n_context_train);
    EXPECT_EQ(a.norm_eps, b.norm_eps);
    EXPECT_EQ((*from_file)->weight_bytes(), (*from_store)->weight_bytes());
    EXPECT_EQ((*from_file)->chat_template().source(), (*from_store)->chat_template().source());
    ++n_models;
  }
  EXPECT_GT(n_models, 5);
  const auto report = store::verify_store({folder_ / "store"});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->problems.empty());
}

}  // namespace
}  // namespace hearth

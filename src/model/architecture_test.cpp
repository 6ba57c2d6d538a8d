// Architectures against references of their own: tiny models with random weights and their logits
// in double (tests/architectures/make_models.py).  Those that shared/parity has are tested there.
#include <gtest/gtest.h>

#include <filesystem>

#include "model/architecture_table.h"
#include "model/logits_for_test.h"
#include "model/session_for_test.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kTokens = 40;
constexpr std::uint32_t kWithLogits = 8;

std::filesystem::path path_of(std::string_view name, std::string_view ending) {
  return std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/architectures" /
         (std::string(name) + std::string(ending));
}

// What the script says they are.
std::vector<text::TokenId> test_tokens() {
  std::vector<text::TokenId> tokens;
  for (std::uint32_t i = 0; i < kTokens; ++i) {
    tokens.push_back(static_cast<text::TokenId>((5 + 7 * i) % 250 + 3));
  }
  return tokens;
}

class ArchitectureTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto loaded = Model::load(path_of(GetParam(), ".gguf"));
    ASSERT_TRUE(loaded) << loaded.error().message;
    model_ = *std::move(loaded);
  }
  std::shared_ptr<const Model> model_;
  const std::vector<text::TokenId> tokens_ = test_tokens();
};

TEST_P(ArchitectureTest, LogitsAreThoseOfTheReference) {
  SessionForTest session(*model_);
  const std::vector<float> logits = session.run(tokens_);
  const std::vector<float> truth = read_logits(path_of(GetParam(), ".logits"));
  ASSERT_EQ(truth.size(), kWithLogits * std::size_t{model_->config().n_vocab});
  const double error = relative_error(std::span(logits).last(truth.size()), truth);
  EXPECT_LE(error, 1e-3);
  std::printf("%-12s relative error %.6f\n", GetParam(), error);
}

// Chunks that end within a page and at its end, and single tokens.
TEST_P(ArchitectureTest, ChunksGiveTheSameBits) {
  SessionForTest whole(*model_);
  const std::vector<float> expected = whole.run(tokens_);
  for (const std::size_t chunk : {1U, 3U, 8U, 17U, 32U}) {
    SessionForTest session(*model_);
    std::vector<float> found;
    for (std::size_t at = 0; at < tokens_.size(); at += chunk) {
      const auto part = std::span(tokens_).subspan(at, std::min(chunk, tokens_.size() - at));
      const std::vector<float> logits = session.run(part);
      found.insert(found.end(), logits.begin(), logits.end());
    }
    EXPECT_EQ(found, expected) << "in chunks of " << chunk;
  }
}

// Several sessions in one batch, one of which goes on from before.
TEST_P(ArchitectureTest, NeighboursInTheBatchChangeNothing) {
  SessionForTest alone(*model_);
  const std::vector<float> expected = alone.run(tokens_);
  const std::size_t n_vocab = model_->config().n_vocab;
  SessionForTest first(*model_), second(*model_);
  second.run(std::span(tokens_).first(33));
  std::vector<float> a(n_vocab), b(n_vocab);
  const Segment batch[] = {first.segment(tokens_, 1, a.data()),
                           second.segment(std::span(tokens_).subspan(33, 5), 1, b.data())};
  first.forward_batch(batch);
  EXPECT_TRUE(std::ranges::equal(a, std::span(expected).last(n_vocab)));
  EXPECT_TRUE(std::ranges::equal(b, std::span(expected).subspan(37 * n_vocab, n_vocab)));
}

// What a refused draft leaves in the pages is never read: its positions are written again.
TEST_P(ArchitectureTest, TokensThatAreTakenBackLeaveNoTrace) {
  if (model_->kv_layout().state_bytes > 0) GTEST_SKIP() << "its sessions take nothing back";
  SessionForTest straight(*model_);
  const std::vector<float> expected = straight.run(tokens_);
  SessionForTest session(*model_);
  session.run(std::span(tokens_).first(30));
  const std::vector<text::TokenId> draft{9, 8, 7, 6, 5};
  session.run(draft);
  session.go_back(30);
  const std::vector<float> rest = session.run(std::span(tokens_).subspan(30));
  EXPECT_TRUE(std::ranges::equal(rest, std::span(expected).last(rest.size())));
}

std::string name_of(const ::testing::TestParamInfo<const char*>& row) {
  std::string name = row.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, ArchitectureTest,
                         ::testing::Values("olmo2", "granite", "granitemoe", "granitemoe-shared",
                                           "mistral3", "lfm2", "qwen35", "qwen35moe", "qwen3next",
                                           "gemma4", "gemma4-experts", "granitehybrid",
                                           "nemotron_h", "nemotron_h_moe", "lfm2moe"),
                         name_of);

}  // namespace
}  // namespace hearth::model

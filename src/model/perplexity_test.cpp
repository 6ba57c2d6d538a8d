// Perplexity against its definition, computed here in one piece and in double.
#include "model/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/temp_folder_for_test.h"
#include "model/random_model.h"
#include "model/session_for_test.h"

namespace hearth::model {
namespace {

class PerplexityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = folder_ / "model.gguf";
    ASSERT_TRUE(write_random_model(path, {.type = "Q8_0",
                                          .n_layers = 2,
                                          .d_model = 256,
                                          .d_ff = 512,
                                          .n_heads = 4,
                                          .n_kv_heads = 2,
                                          .n_vocab = 512,
                                          .n_context = 512}));
    auto model = Model::load(path);
    ASSERT_TRUE(model) << model.error().message;
    model_ = *model;
  }

  // A text of no meaning.
  static std::vector<text::TokenId> tokens(std::uint32_t n) {
    std::vector<text::TokenId> ids;
    for (std::uint32_t i = 0; i < n; ++i) ids.push_back(static_cast<text::TokenId>((i * 7919 + i * i) % 509));
    return ids;
  }

  // Sum of the surprises of positions [first + 1, chunk.size()), all logits from one batch.
  double surprise_of(std::span<const text::TokenId> chunk, std::uint32_t first) const {
    SessionForTest session(*model_, 1, 512);
    const std::size_t n_vocab = model_->config().n_vocab;
    const std::vector<float> logits = session.run(chunk);
    double sum = 0;
    for (std::size_t i = first; i + 1 < chunk.size(); ++i) {
      double total = 0;
      for (std::size_t v = 0; v < n_vocab; ++v) total += std::exp(static_cast<double>(logits[i * n_vocab + v]));
      const auto next = static_cast<std::size_t>(chunk[i + 1]);
      sum += std::log(total) - static_cast<double>(logits[i * n_vocab + next]);
    }
    return sum;
  }

  Result<Perplexity> measure(std::span<const text::TokenId> ids, const PerplexityOptions& options) {
    return measure_perplexity(*model_, ids, options, pool_);
  }

  const TempFolder folder_;
  std::shared_ptr<const Model> model_;
  ThreadPool pool_{2};
};

TEST_F(PerplexityTest, ScoresTheSecondHalfOfEachChunk) {
  for (const std::uint32_t n_context : {4U, 33U, 128U, 301U}) {
    const auto ids = tokens(2 * n_context + n_context / 2);
    const auto found = measure(ids, {.n_context = n_context});
    ASSERT_TRUE(found) << found.error().message;
    double sum = 0;
    for (std::uint32_t chunk = 0; chunk < 2; ++chunk) {
      std::vector<text::TokenId> part(ids.begin() + chunk * n_context, ids.begin() + (chunk + 1) * n_context);
      if (model_->tokenizer().adds_bos()) part[0] = *model_->tokenizer().bos();
      sum += surprise_of(part, n_context / 2);
    }
    const std::uint64_t n_scored = 2 * (n_context - n_context / 2 - 1);
    EXPECT_EQ(found->n_scored, n_scored);
    EXPECT_EQ(found->n_chunks, 2U);
    EXPECT_NEAR(found->value / std::exp(sum / static_cast<double>(n_scored)), 1, 1e-5) << n_context;
  }
}

TEST_F(PerplexityTest, StrideScoresTheLastTokensOfOverlappingChunks) {
  const auto ids = tokens(230);
  const auto found = measure(ids, {.n_context = 80, .stride = 40});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->n_context, 100U);
  EXPECT_EQ(found->n_chunks, 4U);  // They begin at 0, 40, 80 and 120.
  EXPECT_EQ(found->n_scored, 160U);
  double sum = 0;
  for (std::size_t begin = 0; begin < 160; begin += 40) {
    sum += surprise_of(std::span(ids).subspan(begin, 100), 59);
  }
  EXPECT_NEAR(found->value / std::exp(sum / 160), 1, 1e-5);
}

TEST_F(PerplexityTest, TellsItsProgressAndStopsWhenAsked) {
  const auto ids = tokens(400);
  std::vector<std::uint32_t> done;
  const auto show = [&](std::uint32_t n_done, std::uint32_t n_chunks, double perplexity) {
    EXPECT_EQ(n_chunks, 3U);
    EXPECT_GT(perplexity, 1);
    done.push_back(n_done);
    return n_done < 2;
  };
  const auto stopped = measure(ids, {.n_context = 100, .n_chunks_max = 3, .progress = show});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_EQ(done, (std::vector<std::uint32_t>{1, 2}));
}

TEST_F(PerplexityTest, RefusesWhatCannotBeMeasured) {
  const auto ids = tokens(199);
  for (const PerplexityOptions& options :
       {PerplexityOptions{.n_context = 100}, PerplexityOptions{.n_context = 3}, PerplexityOptions{.n_context = 513},
        PerplexityOptions{.n_context = 20, .stride = 40}}) {
    const auto found = measure(ids, options);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Code::kInvalidArgument);
  }
  const auto found = measure(ids, {.n_context = 100});
  EXPECT_NE(found.error().message.find("199 tokens, 200 are needed"), std::string::npos) << found.error().message;
}

}  // namespace
}  // namespace hearth::model

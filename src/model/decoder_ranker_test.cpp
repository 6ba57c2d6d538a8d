// Decoders that rank, against the reference of tests/architectures/make_models.py.
#include <gtest/gtest.h>

#include "base/temp_folder_for_test.h"
#include "model/encoder.h"
#include "model/logits_for_test.h"
#include "model/random_model.h"

namespace hearth::model {
namespace {

std::filesystem::path made(std::string_view ending) {
  return std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/architectures" /
         ("qwen3-reranker" + std::string(ending));
}

std::shared_ptr<const Encoder> ranker() {
  auto loaded = Encoder::load(made(".gguf"));
  HEARTH_CHECK(loaded);
  return *std::move(loaded);
}

// The first n of the script's tokens, over and over.
TextPair tokens(std::size_t n) {
  TextPair pair;
  for (std::size_t i = 0; i < n; ++i) {
    pair.tokens.push_back(static_cast<text::TokenId>((5 + 7 * (i % 40)) % 250 + 3));
  }
  return pair;
}

TEST(DecoderRanker, ScoresAreThoseOfTheReference) {
  const auto model = ranker();
  ASSERT_TRUE(model->ranks());
  const std::vector<float> truth = read_logits(made(".logits"));  // [8, (no, yes)]
  ASSERT_EQ(truth.size(), 16U);
  std::vector<TextPair> pairs;
  for (std::size_t n = 33; n <= 40; ++n) pairs.push_back(tokens(n));
  ThreadPool pool(2);
  const auto scores = model->score(pairs, pool);
  ASSERT_TRUE(scores) << scores.error().message;
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR((*scores)[i], truth[2 * i + 1], 1e-3) << i;
}

// Side by side and alone: the same bits.
TEST(DecoderRanker, NeighboursChangeNothing) {
  const auto model = ranker();
  ThreadPool pool(2), one(1);
  std::vector<TextPair> pairs;
  for (const std::size_t n : {7U, 200U, 1U, 250U, 256U, 40U}) pairs.push_back(tokens(n));
  const auto together = model->score(pairs, pool);
  ASSERT_TRUE(together) << together.error().message;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto alone = model->score(std::span(pairs).subspan(i, 1), one);
    ASSERT_TRUE(alone);
    EXPECT_EQ(alone->front(), (*together)[i]) << i;
  }
  const std::vector<TextPair> long_one{tokens(257)};
  const auto refused = model->score(long_one, pool);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("context size of 256"), std::string::npos);
}

// The prompt's control tokens are such; a document's are text.
TEST(DecoderRanker, PairsAreThePromptWithBothTexts) {
  const auto model = ranker();
  const text::Tokenizer& tokenizer = model->tokenizer();
  const TextPair pair = model->pair("to", "a</s>e");
  EXPECT_EQ(std::ranges::count(pair.tokens, 1), 1);
  EXPECT_EQ(std::ranges::count(pair.tokens, 2), 1);
  EXPECT_EQ(pair.tokens.front(), 1);
  EXPECT_NE(tokenizer.decode(pair.tokens).find("e tot a</s>e"), std::string::npos)
      << tokenizer.decode(pair.tokens);
}

TEST(DecoderRanker, OthersAreRefusedByName) {
  const auto model = ranker();
  ThreadPool pool(1);
  const std::vector<std::vector<text::TokenId>> texts{{5, 6}};
  const auto embedded = model->encode(texts, pool);
  ASSERT_FALSE(embedded);
  EXPECT_NE(embedded.error().message.find("ranks documents"), std::string::npos);
  const TempFolder folder;
  const auto path = folder / "no-ranker.gguf";
  ASSERT_TRUE(write_random_model(path, {.architecture = "qwen3", .type = "F16", .n_layers = 1,
                                        .d_model = 64, .d_ff = 64, .n_heads = 2, .n_kv_heads = 1,
                                        .head_dim = 32, .n_vocab = 512}));
  const auto chats = Encoder::load(path);
  ASSERT_FALSE(chats);
  EXPECT_EQ(chats.error().code, Code::kInvalidArgument);
  EXPECT_NE(chats.error().message.find("chats and neither ranks"), std::string::npos);
}

}  // namespace
}  // namespace hearth::model

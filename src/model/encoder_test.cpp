// The encoder against a twin in double that is written the plainest way, and what loading refuses.
#include "model/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "base/temp_folder_for_test.h"
#include "gguf/gguf_file.h"
#include "model/encoder_for_test.h"
#include "tensor/dequantize.h"

namespace hearth::model {
namespace {

using ::testing::HasSubstr;
using text::TokenId;
using Rows = std::vector<std::vector<double>>;  // One per token.

class Twin {
 public:
  Twin(const gguf::GgufFile& file, const EncoderConfig& config) : file_(file), config_(config) {}

  std::vector<double> embed(const std::vector<TokenId>& tokens) const {
    return pooled(states(tokens, tokens.size()));
  }
  double score(const TextPair& pair) const {
    Rows hidden = linear({states(pair.tokens, pair.n_first).front()}, "cls");
    for (double& h : hidden.front()) h = std::tanh(h);
    return linear(hidden, "cls.output").front().front();
  }

 private:
  Rows states(const std::vector<TokenId>& tokens, std::size_t n_first) const {
    Rows x = inputs(tokens, n_first);
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      const std::string prefix = "blk." + std::to_string(i) + ".";
      x = normed(sum(x, attention(x, prefix)), prefix + "attn_output_norm");
      Rows hidden = linear(x, prefix + "ffn_up");
      for (auto& row : hidden) {
        for (double& h : row) h = 0.5 * h * (1 + std::erf(h / std::sqrt(2.0)));
      }
      x = normed(sum(x, linear(hidden, prefix + "ffn_down")), prefix + "layer_output_norm");
    }
    return x;
  }
  std::vector<double> values(const std::string& name) const {
    const gguf::TensorInfo* const info = file_.find_tensor(name);
    std::vector<float> floats(info->n_elements());
    tensor::dequantize(info->type, info->data.data(), floats.size(), floats.data());
    return {floats.begin(), floats.end()};
  }
  Rows inputs(const std::vector<TokenId>& tokens, std::size_t n_first) const {
    const auto token = values("token_embd.weight"), position = values("position_embd.weight"),
               type = values("token_types.weight");
    const std::size_t d = config_.d_model;
    Rows x(tokens.size(), std::vector<double>(d));
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      for (std::size_t i = 0; i < d; ++i) {
        x[t][i] = token[static_cast<std::size_t>(tokens[t]) * d + i] + position[t * d + i] +
                  type[t < n_first ? i : d + i];
      }
    }
    return normed(x, "token_embd_norm");
  }
  Rows linear(const Rows& x, const std::string& name) const {
    const auto weight = values(name + ".weight"), bias = values(name + ".bias");
    Rows out(x.size(), bias);
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (std::size_t r = 0; r < bias.size(); ++r) {
        for (std::size_t c = 0; c < x[t].size(); ++c) {
          out[t][r] += weight[r * x[t].size() + c] * x[t][c];
        }
      }
    }
    return out;
  }
  Rows attention(const Rows& x, const std::string& prefix) const {
    const Rows q = linear(x, prefix + "attn_q"), k = linear(x, prefix + "attn_k"),
               v = linear(x, prefix + "attn_v");
    const std::size_t dim = config_.head_dim;
    Rows mixed(x.size(), std::vector<double>(config_.d_model));
    for (std::size_t at = 0; at < config_.d_model; at += dim) {
      for (std::size_t t = 0; t < x.size(); ++t) {
        std::vector<double> share(x.size());
        double total = 0;
        for (std::size_t s = 0; s < x.size(); ++s) {
          double score = 0;
          for (std::size_t i = at; i < at + dim; ++i) score += q[t][i] * k[s][i];
          total += share[s] = std::exp(score / std::sqrt(static_cast<double>(dim)));
        }
        for (std::size_t s = 0; s < x.size(); ++s) {
          for (std::size_t i = at; i < at + dim; ++i) mixed[t][i] += share[s] / total * v[s][i];
        }
      }
    }
    return linear(mixed, prefix + "attn_output");
  }
  static Rows sum(Rows a, const Rows& b) {
    for (std::size_t t = 0; t < a.size(); ++t) {
      for (std::size_t i = 0; i < a[t].size(); ++i) a[t][i] += b[t][i];
    }
    return a;
  }
  Rows normed(Rows x, const std::string& name) const {
    const auto weight = values(name + ".weight"), bias = values(name + ".bias");
    for (auto& row : x) {
      const auto n = static_cast<double>(row.size());
      double mean = 0, variance = 0;
      for (const double value : row) mean += value / n;
      for (const double value : row) variance += (value - mean) * (value - mean) / n;
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = (row[i] - mean) / std::sqrt(variance + 1e-12) * weight[i] + bias[i];
      }
    }
    return x;
  }
  std::vector<double> pooled(const Rows& x) const {
    std::vector<double> out = config_.pooling == Pooling::kLast ? x.back() : x.front();
    if (config_.pooling == Pooling::kMean) {
      for (std::size_t t = 1; t < x.size(); ++t) {
        for (std::size_t i = 0; i < out.size(); ++i) out[i] += x[t][i];
      }
    }
    double square = 0;
    for (const double value : out) square += value * value;
    for (double& value : out) value /= std::sqrt(square);
    return out;
  }

  const gguf::GgufFile& file_;
  const EncoderConfig& config_;
};

class EncoderTest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_ / "encoder.gguf"; }
  std::shared_ptr<const Encoder> load(const TestEncoderOptions& options = {}) {
    EXPECT_TRUE(make_test_encoder(options).write(path()));
    auto loaded = Encoder::load(path());
    EXPECT_TRUE(loaded) << loaded.error().message;
    return *std::move(loaded);
  }
  void refused(const gguf::GgufWriter& model, Code code, const std::string& words,
               const LoadOptions& options = {}) {
    ASSERT_TRUE(model.write(path()));
    const auto loaded = Encoder::load(path(), options);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, code);
    EXPECT_THAT(loaded.error().message, HasSubstr(words));
    EXPECT_THAT(loaded.error().message, HasSubstr("encoder.gguf"));
  }

  const TempFolder folder_;
  ThreadPool pool_{2};
};

// Texts of 1 token up to the context's 32, across the tasks of a batch.
std::vector<std::vector<TokenId>> random_texts(std::size_t n, std::uint32_t n_context) {
  std::mt19937 rng(3);
  std::vector<std::vector<TokenId>> texts(n);
  for (std::size_t i = 0; i < n; ++i) {
    texts[i].resize(i == 0 ? n_context : 1 + rng() % n_context);
    for (TokenId& id : texts[i]) id = static_cast<TokenId>(rng() % test_encoder_tokens().size());
  }
  return texts;
}

TEST_F(EncoderTest, AgreesWithItsTwin) {
  for (const tensor::DType type : {tensor::DType::kF32, tensor::DType::kF16}) {
    for (const std::uint32_t pooling : {0U, 1U, 2U, 3U}) {
      const auto encoder = load({.pooling = pooling, .type = type});
      const auto file = gguf::GgufFile::open(path());
      const Twin twin(*file, encoder->config());
      const auto texts = random_texts(6, 32);
      const auto vectors = encoder->encode(texts, pool_);
      ASSERT_TRUE(vectors);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::vector<double> expected = twin.embed(texts[i]);
        for (std::size_t j = 0; j < expected.size(); ++j) {
          ASSERT_NEAR((*vectors)[i][j], expected[j], 1e-4) << i << " " << j;
        }
      }
    }
  }
}

TEST_F(EncoderTest, AgreesWithItsTwinOnTextsOfSeveralTasks) {
  const auto encoder = load({.n_layers = 1, .n_context = 200});
  const auto file = gguf::GgufFile::open(path());
  const auto texts = random_texts(1, 200);
  const auto vectors = encoder->encode(texts, pool_);
  ASSERT_TRUE(vectors);
  const std::vector<double> expected = Twin(*file, encoder->config()).embed(texts[0]);
  for (std::size_t j = 0; j < expected.size(); ++j) {
    ASSERT_NEAR((*vectors)[0][j], expected[j], 1e-4);
  }
}

TEST_F(EncoderTest, GivesATextTheSameBitsInAnyCompanyAndOnAnyThreads) {
  const auto encoder = load();
  const auto texts = random_texts(100, 32);
  const auto together = encoder->encode(texts, pool_);
  ThreadPool one(1);
  for (const std::size_t i : {0, 1, 50, 99}) {
    const auto alone = encoder->encode(std::span(texts).subspan(i, 1), one);
    EXPECT_EQ((*together)[i], alone->front());
  }
}

TEST_F(EncoderTest, RefusesTextsThatDoNotFit) {
  const auto encoder = load();
  const auto refusal = [&](std::vector<TokenId> tokens) {
    const auto vectors = encoder->encode(std::span(&tokens, 1), pool_);
    EXPECT_FALSE(vectors);
    EXPECT_EQ(vectors.error().code, Code::kInvalidArgument);
    return vectors.error().message;
  };
  EXPECT_TRUE(encoder->encode(std::vector<std::vector<TokenId>>{{std::vector<TokenId>(32, 4)}}, pool_));
  EXPECT_EQ(refusal(std::vector<TokenId>(33, 4)),
            "the input has 33 tokens, which exceeds the available context size of 32 tokens of 'tiny "
            "encoder': send it in parts");
  EXPECT_EQ(refusal({12}), "the token 12 is not one of 'tiny encoder': 0 to 11 are");
  EXPECT_THAT(refusal({-1}), HasSubstr("-1"));
  EXPECT_THAT(refusal({}), HasSubstr("without tokens"));
}

TEST_F(EncoderTest, StopsWhenAsked) {
  std::stop_source source;
  source.request_stop();
  const auto vectors = load()->encode(random_texts(2, 8), pool_, source.get_token());
  ASSERT_FALSE(vectors);
  EXPECT_EQ(vectors.error().code, Code::kCancelled);
}

TEST_F(EncoderTest, RefusesFilesThatItCannotRun) {
  refused(make_test_encoder({.without = "blk.1.attn_k.bias"}), Code::kCorrupt,
          "tensor 'blk.1.attn_k.bias' is missing");
  refused(make_test_encoder({.d_ff = 96, .n_heads = 5}), Code::kCorrupt, "5 heads cannot share");
  refused(make_test_encoder({.pooling = 5}), Code::kUnsupported, "'bert.pooling_type' is 5");
  refused(make_test_encoder({.pooling = 4, .n_classes = 3}), Code::kUnsupported,
          "it sorts texts into 3 classes");
  refused(make_test_encoder({.pooling = 4, .without = "cls.output.weight"}), Code::kCorrupt,
          "tensor 'cls.output.weight' is missing");
  refused(make_test_encoder(), Code::kOutOfBudget, "memory", {.memory_bytes_max = 1000});
  gguf::GgufWriter more = make_test_encoder();
  const std::vector<std::uint64_t> dims = {1};
  const float zero = 0;
  more.add_tensor("cls.weight", tensor::DType::kF32, dims, std::as_bytes(std::span(&zero, 1)));
  refused(more, Code::kUnsupported, "tensor 'cls.weight' is not part of a 'bert'");
}

TEST_F(EncoderTest, ScoresPairsAsItsTwin) {
  for (const tensor::DType type : {tensor::DType::kF32, tensor::DType::kF16}) {
    const auto encoder = load({.pooling = 4, .type = type});
    ASSERT_TRUE(encoder->ranks());
    const auto file = gguf::GgufFile::open(path());
    const Twin twin(*file, encoder->config());
    std::vector<TextPair> pairs;
    for (const char* const document : {"The cat sat on the mat.", "dogs", "", "mat mat mat"}) {
      pairs.push_back(encoder->pair("the cats", document));
    }
    EXPECT_EQ(pairs[1].tokens, (std::vector<TokenId>{2, 4, 5, 10, 3, 6, 10, 3}));
    EXPECT_EQ(pairs[1].n_first, 5U);
    const auto scores = encoder->score(pairs, pool_);
    ASSERT_TRUE(scores) << scores.error().message;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_NEAR((*scores)[i], twin.score(pairs[i]), 1e-4) << i;
      EXPECT_EQ(encoder->score(std::span(pairs).subspan(i, 1), pool_)->front(), (*scores)[i]);
    }
  }
}

TEST_F(EncoderTest, EmbedsOrRanksAndSaysWhich) {
  const auto ranker = load({.pooling = 4});
  const auto vectors = ranker->encode(random_texts(1, 8), pool_);
  ASSERT_FALSE(vectors);
  EXPECT_THAT(vectors.error().message, HasSubstr("ranks documents (/v1/rerank)"));
  const auto embedder = load();
  const TextPair pair = embedder->pair("a", "b");
  const auto scores = embedder->score(std::span(&pair, 1), pool_);
  ASSERT_FALSE(scores);
  EXPECT_EQ(scores.error().code, Code::kInvalidArgument);
  EXPECT_THAT(scores.error().message, HasSubstr("embeds texts (/v1/embeddings)"));
}

TEST_F(EncoderTest, RefusesShapesThatDisagree) {
  gguf::GgufWriter wrong = make_test_encoder({.without = "blk.0.ffn_up.weight"});
  const std::vector<std::uint64_t> dims = {64, 95};
  wrong.add_tensor("blk.0.ffn_up.weight", tensor::DType::kF32, dims,
                   [](std::span<std::byte> out) { std::ranges::fill(out, std::byte{0}); });
  refused(wrong, Code::kCorrupt, "tensor 'blk.0.ffn_up.weight': [96, 64] expected, [95, 64] found");
}

TEST_F(EncoderTest, IsNoChatModel) {
  ASSERT_TRUE(make_test_encoder().write(path()));
  const auto model = Model::load(path());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kUnsupported);
  EXPECT_THAT(model.error().message, HasSubstr("/v1/embeddings"));
}

}  // namespace
}  // namespace hearth::model

// Fine-tunes as adapters: one of low rank comes back, another as well as its rank allows, and what no
// adapter holds is refused.
#include "convert/extract_adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/temp_folder_for_test.h"
#include "convert/low_rank.h"
#include "gguf/gguf_writer.h"
#include "model/divergence.h"
#include "model/random_model.h"

namespace hearth::convert {
namespace {

namespace fs = std::filesystem;
using gguf::GgufFile;
using tensor::DType;

struct Matrix {
  std::uint32_t rows, cols;
  std::vector<float> values;
  RowSource source() const {
    return {rows, cols, [this](std::uint32_t row, float* out) {
              std::copy_n(values.data() + std::size_t{row} * cols, cols, out);
            }};
  }
};

// spread * b a of random factors, and noise.
Matrix random_matrix(std::uint32_t rows, std::uint32_t cols, std::uint32_t rank, float spread, float noise,
                     std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Matrix m{rows, cols, std::vector<float>(std::size_t{rows} * cols)};
  std::vector<float> a(std::size_t{rank} * cols), b(std::size_t{rows} * rank);
  for (auto* factor : {&a, &b}) {
    for (float& v : *factor) v = normal(random);
  }
  for (std::uint32_t r = 0; r < rows; ++r) {
    for (std::uint32_t c = 0; c < cols; ++c) {
      float sum = 0;
      for (std::uint32_t k = 0; k < rank; ++k) sum += b[r * rank + k] * a[k * cols + c];
      m.values[std::size_t{r} * cols + c] = spread * sum + noise * normal(random);
    }
  }
  return m;
}

double error_of(const Matrix& m, const LowRankFactors& f) {
  double error = 0;
  for (std::uint32_t r = 0; r < m.rows; ++r) {
    for (std::uint32_t c = 0; c < m.cols; ++c) {
      double sum = static_cast<double>(m.values[std::size_t{r} * m.cols + c]);
      for (std::uint32_t k = 0; k < f.rank; ++k) {
        sum -= static_cast<double>(f.b[r * f.rank + k]) * static_cast<double>(f.a[k * m.cols + c]);
      }
      error += sum * sum;
    }
  }
  return std::sqrt(error);
}

TEST(LowRank, FindsWhatIsThere) {
  ThreadPool pool(2);
  for (const auto& [rows, cols] : {std::pair(90U, 130U), std::pair(130U, 90U), std::pair(5U, 64U)}) {
    const Matrix m = random_matrix(rows, cols, 4, 0.01F, 0, rows);
    const LowRankFactors f = factorize(m.source(), 4, 1, pool);
    EXPECT_LT(f.error, 1e-3 * f.norm);
    EXPECT_LT(error_of(m, f), 1e-3 * f.norm);
    // More than there is does no harm.
    EXPECT_LT(error_of(m, factorize(m.source(), 12, 1, pool)), 1e-3 * f.norm);
  }
}

TEST(LowRank, SaysWhatItLeavesAndIsTheSameForAnyNumberOfThreads) {
  const Matrix m = random_matrix(120, 100, 4, 0.02F, 0.02F, 3);
  ThreadPool one(1), three(3);
  const LowRankFactors f = factorize(m.source(), 8, 1, one), again = factorize(m.source(), 8, 1, three);
  EXPECT_EQ(f.a, again.a);
  EXPECT_EQ(f.b, again.b);
  EXPECT_NEAR(f.error, error_of(m, f), 1e-3 * f.norm);
  EXPECT_GT(f.error, 0.1 * f.norm);
  double previous = f.norm;
  for (const std::uint32_t rank : {1U, 4U, 16U, 64U}) {
    const double error = factorize(m.source(), rank, 1, one).error;
    EXPECT_LT(error, previous);
    previous = error;
  }
}

TEST(LowRank, OfNothingThereIsNothing) {
  ThreadPool pool(1);
  const Matrix m{40, 30, std::vector<float>(1200)};
  const LowRankFactors f = factorize(m.source(), 4, 1, pool);
  EXPECT_EQ(f.norm, 0);
  EXPECT_EQ(f.error, 0);
  EXPECT_EQ(f.a, std::vector<float>(4 * 30));
}

class ExtractAdapter : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(model::write_random_model(base(), {.type = "F32",
                                                   .n_layers = 2,
                                                   .d_model = 64,
                                                   .d_ff = 128,
                                                   .n_heads = 4,
                                                   .n_kv_heads = 2,
                                                   .head_dim = 16,
                                                   .n_vocab = 512,
                                                   .n_context = 256,
                                                   .tied_embeddings = true}));
  }

  fs::path base() const { return folder_ / "base.gguf"; }

  // The base with `rank` directions and noise added to its matrices, and its vectors scaled.
  fs::path fine_tune(std::uint32_t rank, float noise, float vector_scale = 1) const {
    const GgufFile file = GgufFile::open(base()).value();
    gguf::GgufWriter writer;
    for (const auto& entry : file.metadata()) {
      if (entry.key != "general.alignment") writer.set_value(entry.key, entry.value);
    }
    std::vector<std::vector<float>> kept;
    for (const auto& info : file.tensors()) {
      std::vector<float>& values = kept.emplace_back(info.n_elements());
      std::memcpy(values.data(), info.data.data(), info.data.size());
      if (info.n_dims == 1) {
        for (float& v : values) v *= vector_scale;
        continue;
      }
      const auto cols = static_cast<std::uint32_t>(info.dims[0]), rows = static_cast<std::uint32_t>(info.dims[1]);
      const Matrix change = random_matrix(rows, cols, rank, 0.01F, noise, info.data.size() + kept.size());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += change.values[i];
    }
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const auto& info = file.tensors()[i];
      writer.add_tensor(info.name, info.type, std::span(info.dims).first(info.n_dims),
                        std::as_bytes(std::span(kept[i])));
    }
    const fs::path path = folder_ / "tuned.gguf";
    EXPECT_TRUE(writer.write(path));
    return path;
  }

  Result<ExtractedAdapter> extract(const fs::path& tuned, std::uint32_t rank) const {
    return extract_adapter(GgufFile::open(tuned).value(), GgufFile::open(base()).value(),
                           {.name = "tuned", .base = "base", .rank = rank, .n_threads = 2});
  }

  model::Divergence divergence(const fs::path& tuned, const ExtractedAdapter* made) const {
    const auto whole = model::Model::load(tuned).value(), below = model::Model::load(base()).value();
    std::vector<text::TokenId> tokens;
    for (int i = 0; i < 200; ++i) tokens.push_back(i * 31 % 512);
    ThreadPool pool(2);
    if (made == nullptr) return model::measure_divergence({*whole}, {*below}, tokens, {}, pool).value();
    const auto bytes = std::as_bytes(std::span(made->bytes));
    const auto file = GgufFile::parse(bytes, "tuned").value();
    const auto source = model::read_adapter(file).value();
    const auto adapter = model::Adapter::bind(source, *below).value();
    const model::AdapterUse use{.adapter = adapter.get()};
    return model::measure_divergence({*whole}, {*below, {&use, 1}}, tokens, {}, pool).value();
  }

  const TempFolder folder_;
};

TEST_F(ExtractAdapter, AFineTuneOfLowRankComesBack) {
  const fs::path tuned = fine_tune(4, 0);
  const auto made = extract(tuned, 4);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->losses.size(), 2U * 7 + 1);
  for (const MatrixLoss& loss : made->losses) EXPECT_LT(loss.relative, 1e-3) << loss.tensor;
  EXPECT_TRUE(made->left_out.empty());
  const double without = divergence(tuned, nullptr).mean;
  const model::Divergence with = divergence(tuned, &*made);
  EXPECT_LT(with.mean, 1e-3 * without);
  EXPECT_NEAR(with.perplexity / with.perplexity_reference, 1, 1e-2);
}

TEST_F(ExtractAdapter, AHigherRankIsNearer) {
  const fs::path tuned = fine_tune(4, 0.005F);
  double previous = divergence(tuned, nullptr).mean;
  for (const std::uint32_t rank : {4U, 32U}) {
    const auto made = extract(tuned, rank);
    ASSERT_TRUE(made) << made.error().message;
    const double now = divergence(tuned, &*made).mean;
    EXPECT_LT(now, previous) << rank;
    previous = now;
  }
}

TEST_F(ExtractAdapter, AModelDoesNotDivergeFromItself) {
  const auto whole = model::Model::load(base()).value();
  const std::vector<text::TokenId> tokens = {1, 5, 9, 2, 77, 4};
  ThreadPool pool(1);
  const auto same = model::measure_divergence({*whole}, {*whole}, tokens, {}, pool);
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->mean, 0);
  EXPECT_EQ(same->same_choice, 1);
  EXPECT_EQ(same->perplexity, same->perplexity_reference);
  EXPECT_EQ(same->n_scored, 5U);
}

TEST_F(ExtractAdapter, SmallDifferencesOfVectorsAreNamedAndLargeOnesRefused) {
  const auto made = extract(fine_tune(2, 0, 1.001F), 2);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->left_out.size(), 2U * 2 + 1);
  EXPECT_NEAR(made->left_out[0].relative, 0.001, 1e-5);
  const auto refused = extract(fine_tune(2, 0, 1.05F), 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("--as exact"), std::string::npos);
}

TEST_F(ExtractAdapter, WhatMakesNoSenseIsRefused) {
  const fs::path tuned = fine_tune(2, 0);
  EXPECT_EQ(extract(tuned, 0).error().code, Code::kUnsupported);
  EXPECT_EQ(extract(tuned, 513).error().code, Code::kUnsupported);
  EXPECT_EQ(extract(base(), 4).error().code, Code::kInvalidArgument);  // Nothing differs.
}

}  // namespace
}  // namespace hearth::convert

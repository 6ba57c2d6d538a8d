// Loading: what is refused and in which words, and what a good file gives.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/temp_folder_for_test.h"
#include "gguf/gguf_file.h"
#include "model/architecture_table.h"
#include "model/random_model.h"
#include "model/session_for_test.h"
#include "model/vocab.h"

namespace hearth::model {
namespace {

using gguf::GgufFile;
using gguf::GgufWriter;

class Loading : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_ / "model.gguf"; }

  // A model small enough to write for each test.
  static RandomModelOptions small(std::string architecture = "llama", std::string type = "F16") {
    return {.architecture = std::move(architecture),
            .type = std::move(type),
            .n_layers = 2,
            .d_model = 256,
            .d_ff = 512,
            .n_heads = 4,
            .n_kv_heads = 2,
            .head_dim = 64,
            .n_vocab = 512,
            .n_context = 128};
  }

  // Writes the small model with `edit` applied to a copy of it, and loads that.
  using Edit = std::function<void(GgufWriter& copy, const GgufFile& original)>;
  Result<std::shared_ptr<const Model>> load_edited(const Edit& edit) {
    const auto writer = random_model(small());
    HEARTH_CHECK(writer);
    const std::string bytes = writer->to_bytes();
    const auto original = GgufFile::parse(std::as_bytes(std::span(bytes)), "original");
    HEARTH_CHECK(original);
    GgufWriter copy;
    edit(copy, *original);
    HEARTH_CHECK(copy.write(path()));
    return Model::load(path());
  }

  static void copy_keys(GgufWriter& copy, const GgufFile& from, std::string_view except = {}) {
    for (const auto& entry : from.metadata()) {
      if (entry.key != except) copy.set_value(entry.key, entry.value);
    }
  }
  static void copy_tensors(GgufWriter& copy, const GgufFile& from, std::string_view except = {}) {
    for (const auto& t : from.tensors()) {
      if (t.name != except) {
        copy.add_tensor(t.name, t.type, std::span(t.dims).first(t.n_dims), t.data);
      }
    }
  }

  // The error of loading the small model with one key set to something else.
  template <class Set>
  std::string error_with_key(std::string_view key, Set set) {
    const auto model = load_edited([&](GgufWriter& copy, const GgufFile& original) {
      copy_keys(copy, original, key);
      set(copy, key);
      copy_tensors(copy, original);
    });
    return model ? "no error" : model.error().message;
  }

  // The error of loading the small model with one tensor replaced (or left out).
  std::string error_with_tensor(std::string_view name, tensor::DType type,
                                std::vector<std::uint64_t> dims) {
    const auto model = load_edited([&](GgufWriter& copy, const GgufFile& original) {
      copy_keys(copy, original);
      copy_tensors(copy, original, name);
      if (!dims.empty()) copy.add_tensor(name, type, dims, [](std::span<std::byte>) {});
    });
    return model ? "no error" : model.error().message;
  }

  const TempFolder folder_;
};

void expect_part(const std::string& text, std::string_view part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
}

TEST_F(Loading, RandomModelsOfEveryTypeAndArchitectureRun) {
  for (const char* const architecture : {"llama", "qwen2", "qwen3"}) {
    for (const char* const type :
         {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K"}) {
      ASSERT_TRUE(write_random_model(path(), small(architecture, type)));
      const auto model = Model::load(path());
      ASSERT_TRUE(model) << model.error().message;
      EXPECT_EQ((*model)->config().n_vocab, 512U);
      SessionForTest session(**model);
      const std::vector<text::TokenId> tokens{1, 2, 300, 511};
      const std::vector<float> logits = session.run(tokens);
      double square = 0;
      for (const float logit : logits)
        square += static_cast<double>(logit) * static_cast<double>(logit);
      const double rms = std::sqrt(square / static_cast<double>(logits.size()));
      EXPECT_TRUE(rms > 0.3 && rms < 3.0) << architecture << " " << type << ": " << rms;
    }
  }
}

// As quantisers leave it: a matrix whose rows no block divides stays in another type than the rest.
TEST_F(Loading, TypesNeedToFitOnlyTheirOwnRows) {
  RandomModelOptions options = small();
  options.d_ff = 300;
  const auto writer = random_model(options);
  ASSERT_TRUE(writer) << writer.error().message;
  const std::string bytes = writer->to_bytes();
  const auto original = GgufFile::parse(std::as_bytes(std::span(bytes)), "original");
  ASSERT_TRUE(original);
  GgufWriter copy;
  copy_keys(copy, *original);
  copy_tensors(copy, *original, "blk.0.attn_q.weight");
  copy.add_tensor("blk.0.attn_q.weight", tensor::DType::kQ8_0, std::vector<std::uint64_t>{256, 256},
                  [](std::span<std::byte> out) { std::fill(out.begin(), out.end(), std::byte{}); });
  ASSERT_TRUE(copy.write(path()));
  const auto model = Model::load(path());
  ASSERT_TRUE(model) << model.error().message;
  SessionForTest session(**model);
  for (const float logit : session.run(std::vector<text::TokenId>{1, 2, 3})) {
    ASSERT_TRUE(std::isfinite(logit));
  }
}

TEST_F(Loading, RandomModelRefusesWhatItCannotMake) {
  EXPECT_FALSE(random_model({.type = "Q3_X"}));
  EXPECT_FALSE(random_model({.architecture = "mamba"}));
  EXPECT_FALSE(random_model({.d_ff = 300}));
  EXPECT_FALSE(random_model({.n_vocab = 258}));
  EXPECT_TRUE(random_model({.n_vocab = 259}));
}

TEST_F(Loading, MissingFileIsNotFound) {
  const auto model = Model::load(folder_ / "absent.gguf");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kNotFound);
  expect_part(model.error().message, "absent.gguf");
}

TEST_F(Loading, TruncatedFileNamesTheTensorAndTheWayOut) {
  ASSERT_TRUE(write_random_model(path(), small()));
  std::filesystem::resize_file(path(), std::filesystem::file_size(path()) / 2);
  const auto model = Model::load(path());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kCorrupt);
  expect_part(model.error().message, "model.gguf");
  expect_part(model.error().message, "needs");
  expect_part(model.error().message, "download it again");
}

TEST_F(Loading, TextFileIsNamedAsOne) {
  std::ofstream(path()) << "not a model\n";
  const auto model = Model::load(path());
  ASSERT_FALSE(model);
  expect_part(model.error().message, "it is a text file");
}

TEST_F(Loading, UnknownArchitectureNamesTheKnownOnesAndTheUpstream) {
  const std::string error = error_with_key(
      "general.architecture", [](auto& copy, auto key) { copy.set_string(key, "mamba"); });
  expect_part(error, "the architecture 'mamba'");
  expect_part(error, "llama, qwen2, qwen3");
  expect_part(error, "upstream");
  for (const char* const name : {"rwkv7", "deepseek2", "glm4moe"}) {
    const std::string other = error_with_key(
        "general.architecture", [&](auto& copy, auto key) { copy.set_string(key, name); });
    expect_part(other, std::string("the architecture '") + name + "'");
    expect_part(other, "(llama-server, Ollama, vLLM)");
  }
}

TEST_F(Loading, ModelLargerThanMemoryIsRefusedOnce) {
  ASSERT_TRUE(write_random_model(path(), small()));
  const auto whole = Model::load(path());
  ASSERT_TRUE(whole);
  const std::uint64_t bytes = (*whole)->weight_bytes();
  EXPECT_TRUE(Model::load(path(), {.memory_bytes_max = bytes}));
  const auto model = Model::load(path(), {.memory_bytes_max = bytes - 1});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kOutOfBudget);
  expect_part(model.error().message, "smaller model or quantisation");
}

TEST_F(Loading, BadHyperparametersNameTheKeyAndTheLimit) {
  const auto set = [](std::uint32_t value) {
    return [value](GgufWriter& copy, std::string_view key) { copy.set_u32(key, value); };
  };
  expect_part(error_with_key("llama.block_count", set(0)), "'llama.block_count' is 0, 1 to 1024");
  expect_part(error_with_key("llama.block_count", set(1025)), "is 1025, 1 to 1024");
  expect_part(error_with_key("llama.block_count", set(3)), "'blk.2.attn_norm.weight' is missing");
  expect_part(error_with_key("llama.attention.head_count", set(0)), "1 to 1024 allowed");
  expect_part(error_with_key("llama.attention.head_count_kv", set(3)),
              "4 heads cannot share 3 key-value heads");
  expect_part(error_with_key("llama.rope.dimension_count", set(65)), "an even number up to");
  expect_part(error_with_key("llama.attention.value_length", set(32)), "values 32");
  expect_part(error_with_key("llama.rope.freq_base", [](auto& c, auto k) { c.set_f32(k, -1.0F); }),
              "a number above 0");
  expect_part(error_with_key("llama.expert_count", set(8)), "llama.expert_used_count");
  expect_part(
      error_with_key("llama.rope.scaling.type", [](auto& c, auto k) { c.set_string(k, "spiral"); }),
      "rope scaling 'spiral'");
  expect_part(error_with_key("llama.context_length", [](auto&, auto) {}),
              "lacks the key 'llama.context_length'");
}

TEST_F(Loading, HeadsOfOddSizesAreRefused) {
  for (const std::uint32_t head_dim : {40U, 528U}) {
    RandomModelOptions options = small("llama", "F32");
    options.head_dim = head_dim;
    ASSERT_TRUE(write_random_model(path(), options));
    const auto model = Model::load(path());
    ASSERT_FALSE(model) << head_dim;
    EXPECT_EQ(model.error().code, Code::kUnsupported);
    expect_part(model.error().message, "multiples of 16 up to 512");
  }
}

TEST_F(Loading, ListsGiveEachLayerItsHeads) {
  const auto set = [](std::vector<std::int32_t> values) {
    return [values](GgufWriter& copy, std::string_view key) { copy.set_i32s(key, values); };
  };
  EXPECT_EQ(error_with_key("llama.attention.head_count_kv", set({2, 2})), "no error");
  expect_part(error_with_key("llama.attention.head_count_kv", set({2, 4})),
              "tensor 'blk.1.attn_k.weight': [256, 256] expected, [128, 256] found");
  expect_part(error_with_key("llama.attention.head_count_kv", set({2, 3})),
              "4 heads cannot share 3 key-value heads evenly");
  expect_part(error_with_key("llama.attention.head_count_kv", set({2, 0})),
              "gives layer 1 no key-value heads, which each of a 'llama' has");
  expect_part(error_with_key("llama.attention.head_count_kv", set({2})), "lists 1 layers of 2");
  expect_part(error_with_key("llama.feed_forward_length", set({512, 0})),
              "gives layer 1 no feed-forward block");
  expect_part(error_with_key("llama.attention.head_count_kv", set({})), "empty list");
}

TEST_F(Loading, BadTensorsNameBothShapes) {
  using tensor::DType;
  expect_part(error_with_tensor("blk.1.attn_q.weight", DType::kF16, {256, 128}),
              "tensor 'blk.1.attn_q.weight': [256, 256] expected, [128, 256] found");
  expect_part(error_with_tensor("blk.0.ffn_norm.weight", DType::kF32, {128}),
              "tensor 'blk.0.ffn_norm.weight': [256] expected, [128] found");
  expect_part(error_with_tensor("blk.0.ffn_norm.weight", DType::kF16, {256}),
              "vectors are read as F32");
  expect_part(error_with_tensor("output.weight", DType::kF16, {256, 511}),
              "[512, 256] expected, [511, 256] found");
  expect_part(error_with_tensor("blk.0.attn_k.weight", DType::kI8, {256, 128}), "no kernels");
  expect_part(error_with_tensor("blk.0.attn_k.weight", DType::kF16, {}), "is missing");
  expect_part(error_with_tensor("blk.0.attn_sinks.weight", DType::kF32, {4}),
              "'blk.0.attn_sinks.weight' is not part of a 'llama'");
  expect_part(error_with_tensor("rope_freqs.weight", DType::kF32, {31}),
              "[32] expected, [31] found");
  EXPECT_EQ(error_with_tensor("output.weight", DType::kF16, {}), "no error") << "tied embeddings";
  EXPECT_EQ(error_with_tensor("blk.0.attn_q.bias", DType::kF32, {256}), "no error");
}

TEST_F(Loading, VocabularyMustMatchTheEmbedding) {
  const auto model = load_edited([&](GgufWriter& copy, const GgufFile& original) {
    copy_keys(copy, original);
    for (const auto& t : original.tensors()) {
      const bool of_vocabulary = t.name == "token_embd.weight" || t.name == "output.weight";
      auto dims = t.dims;
      if (of_vocabulary) dims[1] = 511;
      copy.add_tensor(t.name, t.type, std::span(dims).first(t.n_dims), [](std::span<std::byte>) {});
    }
  });
  ASSERT_FALSE(model);
  expect_part(model.error().message, "512 tokens and tensor 'token_embd.weight' 511 rows");
}

TEST_F(Loading, UnsureTokenIsReadAndChecked) {
  const auto with_unsure = [&](std::uint32_t id) {
    return load_edited([&](GgufWriter& copy, const GgufFile& original) {
      copy_keys(copy, original);
      copy.set_u32("hearth.unsure_token_id", id);
      copy_tensors(copy, original);
    });
  };
  const auto model = with_unsure(511);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->unsure_token(), 511);
  EXPECT_FALSE(with_unsure(512));
}

TEST_F(Loading, IdentityFollowsContentNotName) {
  ASSERT_TRUE(write_random_model(path(), small()));
  const auto copy = folder_ / "copy.gguf";
  std::filesystem::copy_file(path(), copy);
  const std::uint64_t first = (*Model::load(path()))->identity();
  EXPECT_EQ((*Model::load(copy))->identity(), first);
  // One byte in the middle of the weights.
  std::fstream edit(copy, std::ios::in | std::ios::out | std::ios::binary);
  edit.seekp(static_cast<std::streamoff>(std::filesystem::file_size(copy) / 2));
  edit.put('x');
  edit.close();
  EXPECT_NE((*Model::load(copy))->identity(), first);
}

TEST_F(Loading, VocabularyReadsIdsOfAnyWidthAndMinusOne) {
  GgufWriter writer;
  writer.set_string("tokenizer.ggml.model", "llama");
  const std::vector<std::string> tokens{"<unk>", "<s>", "a"};
  writer.set_strings("tokenizer.ggml.tokens", tokens);
  writer.set_u64("tokenizer.ggml.bos_token_id", 1);
  writer.set_i32("tokenizer.ggml.eos_token_id", -1);
  writer.set_u32("tokenizer.ggml.eot_token_id", 0xFFFFFFFFU);
  writer.set_bool("tokenizer.ggml.add_eos_token", false);
  std::string bytes = writer.to_bytes();
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)), "vocab");
  const auto spec = vocab_from_gguf(*file);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->tokens, tokens);
  EXPECT_EQ(spec->bos, 1);
  EXPECT_FALSE(spec->eos);
  EXPECT_FALSE(spec->eot);
  EXPECT_EQ(spec->add_eos, false);
  EXPECT_FALSE(spec->add_bos);

  writer.set_u32("tokenizer.ggml.padding_token_id", 3);
  bytes = writer.to_bytes();
  const auto bad = vocab_from_gguf(*GgufFile::parse(std::as_bytes(std::span(bytes)), "vocab"));
  ASSERT_FALSE(bad);
  expect_part(bad.error().message, "'tokenizer.ggml.padding_token_id' is 3, the vocabulary has 3");
}

TEST_F(Loading, TokenizerLoadsWithoutWeights) {
  const auto vocab = std::filesystem::path(HEARTH_SHARED_DIR) / "vocab" / "llama-spm.gguf";
  if (!std::filesystem::exists(vocab)) GTEST_SKIP() << "no shared data";
  const auto tokenizer = load_tokenizer(vocab);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->n_vocab(), 32000U);
  const auto model = Model::load(vocab);
  ASSERT_FALSE(model);
  expect_part(model.error().message, "a vocabulary but no weights");
}

TEST(ArchitectureTable, FindsRowsByName) {
  EXPECT_EQ(find_architecture("llama")->rope_pairs, RopePairs::kAdjacent);
  EXPECT_EQ(find_architecture("qwen3")->qk_norm, Presence::kRequired);
  EXPECT_EQ(find_architecture("llam"), nullptr);
}

}  // namespace
}  // namespace hearth::model

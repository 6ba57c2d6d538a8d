// Folders in Hugging Face's layout, made from the parity models of every architecture: what comes
// back must be the model that went out.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "convert/hf_folder_for_test.h"
#include "convert/quantize_model.h"
#include "model/session_for_test.h"

namespace hearth::convert {
namespace {

using gguf::GgufFile;

const std::filesystem::path kParity = std::filesystem::path(HEARTH_SHARED_DIR) / "parity";

class HfSource : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kParity)) GTEST_SKIP() << "no shared data";
  }

  std::filesystem::path hf() const { return folder_ / "hf"; }
  std::filesystem::path out() const { return folder_ / "out.gguf"; }

  // A small model of this architecture, with random weights.
  static std::filesystem::path path_of(const std::string& architecture) {
    const auto shared = kParity / (architecture + "-F16.gguf");
    if (std::filesystem::exists(shared)) return shared;
    return std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/architectures" /
           (architecture + ".gguf");
  }
  static GgufFile parity(const std::string& architecture) {
    auto file = GgufFile::open(path_of(architecture));
    HEARTH_CHECK(file);
    return *std::move(file);
  }

  Result<QuantizeReport> convert(const std::string& recipe = "F16") {
    HEARTH_TRY(const ModelSource source, open_source(hf()));
    return quantize_model(source, out(), {.recipe = find_recipe(recipe), .overwrite = true});
  }

  // Changes one member of a JSON file in the folder.
  void edit(const std::string& file, const std::string& key, nlohmann::json value) {
    nlohmann::json json = nlohmann::json::parse(read_file(hf() / file).value());
    json[key] = std::move(value);
    std::ofstream(hf() / file) << json;
  }

  void expect_refused(Code code, const std::string& word) {
    const auto refused = open_source(hf());
    ASSERT_FALSE(refused) << word;
    EXPECT_EQ(refused.error().code, code) << refused.error().message;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  }

  const TempFolder folder_;
};

void expect_same_tensor(const gguf::TensorInfo& found, const gguf::TensorInfo& truth, bool exact) {
  ASSERT_EQ(found.shape_text(), truth.shape_text()) << truth.name;
  ASSERT_EQ(found.type, truth.type) << truth.name;
  if (exact) {
    EXPECT_TRUE(std::ranges::equal(found.data, truth.data)) << truth.name;
    return;
  }
  for (std::size_t i = 0; i < truth.n_elements(); ++i) {
    float a = 0, b = 0;
    std::memcpy(&a, found.data.data() + 4 * i, 4);
    std::memcpy(&b, truth.data.data() + 4 * i, 4);
    ASSERT_NEAR(a, b, 2e-7) << truth.name;
  }
}

TEST_F(HfSource, EveryArchitectureComesBackAsItWas) {
  for (const auto& [architecture, kind] : hf_architectures()) {
    const GgufFile truth = parity(architecture);
    HfFolderMaker(truth, hf()).make(architecture == "qwen3" ? 3 : 1);
    const auto report = convert();
    ASSERT_TRUE(report) << architecture << ": " << report.error().message;
    const auto found = GgufFile::open(out());
    ASSERT_TRUE(found) << found.error().message;
    for (const gguf::TensorInfo& info : truth.tensors()) {
      if (info.name == "rope_freqs.weight") continue;
      const gguf::TensorInfo* const ours = found->find_tensor(info.name);
      ASSERT_NE(ours, nullptr) << architecture << " " << info.name;
      // Norms that are stored less one come back rounded, and so do rates that are stored as logs.
      const bool is_rounded = kind.is_gemma || architecture == "qwen35";
      const bool is_norm = info.name.ends_with("norm.weight") || info.name.ends_with("ssm_a");
      expect_same_tensor(*ours, info, !(is_rounded && is_norm));
    }
    for (const gguf::MetadataEntry& entry : truth.metadata()) {
      if (!entry.key.starts_with(architecture) ||
          entry.key.find("rope.scaling") != entry.key.npos || entry.value.is_array()) {
        continue;
      }
      const gguf::Value* const value = found->find(entry.key);
      ASSERT_NE(value, nullptr) << entry.key;
      EXPECT_EQ(value->as_f64(), entry.value.as_f64()) << entry.key;
    }
    std::filesystem::remove_all(hf());
  }
}

TEST_F(HfSource, LogitsAreThoseOfTheModel) {
  const auto index = nlohmann::json::parse(read_file(kParity / "index.json").value());
  for (const auto& [architecture, kind] : hf_architectures()) {
    if (architecture == "llama") continue;  // Its rope_freqs follow from no configuration.
    HfFolderMaker(parity(architecture), hf()).make();
    ASSERT_TRUE(convert()) << architecture;
    const auto truth = model::Model::load(path_of(architecture));
    const auto found = model::Model::load(out());
    ASSERT_TRUE(truth) << truth.error().message;
    ASSERT_TRUE(found) << found.error().message;
    auto tokens = index["tokens"].get<std::vector<text::TokenId>>();
    const auto n_vocab = static_cast<text::TokenId>((*truth)->config().n_vocab);
    for (text::TokenId& id : tokens) id %= n_vocab;
    model::SessionForTest a(**truth), b(**found);
    const std::vector<float> expected = a.run(tokens), logits = b.run(tokens);
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      difference += std::pow(static_cast<double>(expected[i] - logits[i]), 2);
      norm += std::pow(static_cast<double>(expected[i]), 2);
    }
    EXPECT_LE(std::sqrt(difference / norm), kind.is_gemma || architecture == "qwen35" ? 1e-5 : 0.0)
        << architecture;
    std::filesystem::remove_all(hf());
  }
}

TEST_F(HfSource, MetadataSaysWhatTheModelIs) {
  HfFolderMaker(parity("qwen3"), hf()).make();
  std::ofstream(hf() / "chat_template.jinja") << "from its own file";
  std::ofstream(hf() / "generation_config.json")
      << nlohmann::json{{"do_sample", true}, {"temperature", 0.6}, {"top_k", 20}};
  ASSERT_TRUE(convert("Q8_0"));
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->get_string("general.name").value_or(""), "hf");
  EXPECT_EQ(file->get_string("tokenizer.chat_template").value_or(""), "from its own file");
  EXPECT_FLOAT_EQ(file->get_f32("general.sampling.temp").value_or(0), 0.6F);
  EXPECT_EQ(file->get_u32("tokenizer.ggml.bos_token_id").value_or(0), 1U);
  EXPECT_EQ(file->get_u32("tokenizer.ggml.eos_token_id").value_or(0), 2U);
  EXPECT_TRUE(file->get_bool("tokenizer.ggml.add_bos_token").value_or(false));
}

// Llama 3.1's own numbers: high frequencies as they are, low ones an eighth, a slope between.
TEST_F(HfSource, Llama3RotationsAreSlowedByFrequency) {
  HfFolderMaker(parity("llama"), hf()).make();
  edit("config.json", "rope_scaling",
       {{"rope_type", "llama3"},
        {"factor", 8.0},
        {"low_freq_factor", 1.0},
        {"high_freq_factor", 4.0},
        {"original_max_position_embeddings", 8192}});
  ASSERT_TRUE(convert());
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  const gguf::TensorInfo* const info = file->find_tensor("rope_freqs.weight");
  ASSERT_NE(info, nullptr);
  const auto* const divisors = reinterpret_cast<const float*>(info->data.data());
  ASSERT_EQ(info->n_elements(), 16U);
  EXPECT_EQ(divisors[0], 1.0F);
  EXPECT_EQ(divisors[7], 1.0F);            // Wavelength 2 pi 500000^(14/32) = 1955 < 8192 / 4.
  EXPECT_NEAR(divisors[8], 2.6945, 1e-3);  // 4443: between 2048 and 8192.
  EXPECT_EQ(divisors[9], 8.0F);
  EXPECT_EQ(divisors[15], 8.0F);
  ASSERT_TRUE(model::Model::load(out()));
}

// Every kind of scaling that is written is one that the loader takes.
TEST_F(HfSource, ScaledRotationsLoad) {
  const nlohmann::json factors = std::vector<double>(16, 1.5);
  const std::pair<const char*, nlohmann::json> cases[] = {
      {"qwen3", {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}}},
      {"gemma3", {{"rope_type", "linear"}, {"factor", 8.0}}},
      {"phi3",
       {{"type", "longrope"},
        {"long_factor", factors},
        {"short_factor", factors},
        {"original_max_position_embeddings", 64}}},
      {"qwen2", {{"type", "default"}}}};
  for (const auto& [architecture, scaling] : cases) {
    HfFolderMaker(parity(architecture), hf()).make();
    edit("config.json", "rope_scaling", scaling);
    const auto report = convert();
    ASSERT_TRUE(report) << architecture << ": " << report.error().message;
    const auto model = model::Model::load(out());
    ASSERT_TRUE(model) << architecture << ": " << model.error().message;
    std::filesystem::remove_all(hf());
  }
  HfFolderMaker(parity("phi3"), hf()).make();
  edit("config.json", "rope_scaling", {{"type", "longrope"}, {"long_factor", {1.0}}});
  expect_refused(Code::kCorrupt, "original_max_position_embeddings");
}

TEST_F(HfSource, ModelsThatAlsoSeeGiveTheirTextPart) {
  const GgufFile truth = parity("gemma3");
  HfFolderMaker(truth, hf()).make();
  auto config = nlohmann::json::parse(read_file(hf() / "config.json").value());
  config.erase("architectures");
  std::ofstream(hf() / "config.json") << nlohmann::json{
      {"architectures", {"Gemma3ForConditionalGeneration"}}, {"text_config", config}};
  ASSERT_TRUE(convert()) << convert().error().message;
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->get_u32("gemma3.block_count").value_or(0), 7U);
}

// Mistral's first model attends to a window in every layer, which GGUF's llama does not know: up to
// the window's length the two are the same.
TEST_F(HfSource, AWindowBoundsTheContextWhereLayersDontSlide) {
  HfFolderMaker(parity("llama"), hf()).make();
  edit("config.json", "architectures", {"MistralForCausalLM"});
  edit("config.json", "sliding_window", 100);
  ASSERT_TRUE(convert());
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->get_u32("llama.context_length").value_or(0), 100U);
  EXPECT_EQ(file->find("llama.attention.sliding_window"), nullptr);
}

TEST_F(HfSource, TiedOutputsAreWrittenOnce) {
  HfFolderMaker(parity("llama"), hf()).make();
  edit("config.json", "tie_word_embeddings", true);
  ASSERT_TRUE(convert("Q4_K_M"));
  const auto file = GgufFile::open(out());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->find_tensor("output.weight"), nullptr);
  // As the output's: rows of 128 take Q8_0 for Q6_K.
  EXPECT_EQ(file->find_tensor("token_embd.weight")->type, tensor::DType::kQ8_0);
}

TEST_F(HfSource, WhatWouldBeComputedOtherwiseIsRefused) {
  HfFolderMaker(parity("llama"), hf()).make();
  const auto config = read_file(hf() / "config.json").value();
  const std::pair<const char*, nlohmann::json> cases[] = {
      {"hidden_act", "relu"},
      {"quantization_config", {{"quant_method", "gptq"}}},
      {"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}},
      {"architectures", {"WarpForCausalLM"}},
      {"use_sliding_window", true}};
  for (const auto& [key, value] : cases) {
    edit("config.json", key, value);
    const auto refused = open_source(hf());
    ASSERT_FALSE(refused) << key;
    EXPECT_EQ(refused.error().code, Code::kUnsupported) << refused.error().message;
    std::ofstream(hf() / "config.json") << config;
  }
  edit("config.json", "num_attention_heads", 3);
  expect_refused(Code::kCorrupt, "heads");
  edit("config.json", "num_attention_heads", -3);
  expect_refused(Code::kCorrupt, "num_attention_heads");
  edit("config.json", "num_attention_heads", 4);
  edit("config.json", "num_hidden_layers", 1);
  expect_refused(Code::kCorrupt, "layers");
  edit("config.json", "num_hidden_layers", 3);
  expect_refused(Code::kCorrupt, "blk.2");
}

TEST_F(HfSource, MissingFilesAreNamed) {
  std::filesystem::create_directories(hf());
  expect_refused(Code::kNotFound, "config.json");
  HfFolderMaker(parity("llama"), hf()).make();
  std::filesystem::remove(hf() / "tokenizer.json");
  expect_refused(Code::kNotFound, "tokenizer.json");
  std::filesystem::remove(hf() / "model.safetensors");
  expect_refused(Code::kNotFound, "model.safetensors");
  std::ofstream(hf() / "config.json") << "not json";
  expect_refused(Code::kCorrupt, "config.json");
}

}  // namespace
}  // namespace hearth::convert

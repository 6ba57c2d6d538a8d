// A sentence encoder's folder in Hugging Face's layout, made from a small random encoder: what
// comes back must embed as the one that went out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "convert/hf_folder_for_test.h"
#include "convert/quantize_model.h"
#include "model/encoder.h"
#include "model/encoder_for_test.h"

namespace hearth::convert {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class HfEncoder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(hf() / "1_Pooling");
    make_tensors({.pooling = 2});
    std::ofstream(hf() / "config.json") << config();
    std::ofstream(hf() / "tokenizer.json") << tokenizer();
    std::ofstream(hf() / "tokenizer_config.json")
        << json{{"cls_token", "[CLS]"}, {"sep_token", "[SEP]"}, {"pad_token", "[PAD]"}};
    std::ofstream(hf() / "1_Pooling" / "config.json")
        << json{{"pooling_mode_cls_token", true}, {"pooling_mode_mean_tokens", false}};
  }

  std::filesystem::path hf() const { return folder_ / "hf"; }
  std::filesystem::path original() const { return folder_ / "original.gguf"; }
  std::filesystem::path out() const { return folder_ / "out.gguf"; }

  static json config() {
    return {{"architectures", {"BertModel"}}, {"hidden_act", "gelu"},
            {"num_hidden_layers", 2},         {"num_attention_heads", 4},
            {"hidden_size", 64},              {"intermediate_size", 96},
            {"max_position_embeddings", 32},  {"vocab_size", 12},
            {"type_vocab_size", 2},           {"layer_norm_eps", 1e-12}};
  }
  static json tokenizer() {
    json vocab, added = json::array();
    for (std::size_t id = 0; id < model::test_encoder_tokens().size(); ++id) {
      std::string token = model::test_encoder_tokens()[id];
      if (id < 4) {
        added.push_back({{"id", id}, {"content", token}, {"special", true}});
      } else {
        token = token.starts_with("▁") ? token.substr(3) : "##" + token;
      }
      vocab[token] = id;
    }
    return {{"added_tokens", added},
            {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}}},
            {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
            {"model", {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"vocab", vocab}}}};
  }

  void make_tensors(const model::TestEncoderOptions& options) const {
    ASSERT_TRUE(model::make_test_encoder(options).write(original()));
    static const std::map<std::string, std::string> kNames = {
        {"token_embd", "embeddings.word_embeddings"},
        {"position_embd", "embeddings.position_embeddings"},
        {"token_types", "embeddings.token_type_embeddings"},
        {"token_embd_norm", "embeddings.LayerNorm"},
        {"attn_q", "attention.self.query"},
        {"attn_k", "attention.self.key"},
        {"attn_v", "attention.self.value"},
        {"attn_output", "attention.output.dense"},
        {"attn_output_norm", "attention.output.LayerNorm"},
        {"ffn_up", "intermediate.dense"},
        {"ffn_down", "output.dense"},
        {"layer_output_norm", "output.LayerNorm"},
        {"cls", "bert.pooler.dense"},
        {"cls.output", "classifier"}};
    const auto file = gguf::GgufFile::open(original());
    ASSERT_TRUE(file);
    SafetensorsWriter writer;
    for (const gguf::TensorInfo& info : file->tensors()) {
      const std::string name(info.name);
      const bool in_layer = name.starts_with("blk.");
      const std::size_t first = in_layer ? name.find('.', 4) + 1 : 0, last = name.rfind('.');
      const std::string prefix =
          in_layer ? "encoder.layer." + name.substr(4, first - 4) : std::string();
      std::vector<std::uint64_t> shape(info.dims.begin(), info.dims.begin() + info.n_dims);
      std::ranges::reverse(shape);
      writer.add(prefix + kNames.at(name.substr(first, last - first)) + name.substr(last), "F32",
                 shape,
                 std::string(reinterpret_cast<const char*>(info.data.data()), info.data.size()));
    }
    writer.add("embeddings.position_ids", "I64", {1, 1}, std::string(8, '\0'));
    if (options.pooling != 4) {
      writer.add("pooler.dense.weight", "F32", {1, 1}, std::string(4, '\0'));
    }
    writer.write(hf(), 1);
  }

  void edit(const std::string& name, const std::string& pointer, const json& value) const {
    json content = json::parse(read_file(hf() / name).value());
    content[json::json_pointer(pointer)] = value;
    std::ofstream(hf() / name) << content;
  }
  void expect_refused(const std::string& words) const {
    const auto refused = open_source(hf());
    ASSERT_FALSE(refused) << words;
    EXPECT_THAT(refused.error().message, HasSubstr(words));
  }

  const TempFolder folder_;
};

TEST_F(HfEncoder, EmbedsAsTheOriginal) {
  const auto source = open_source(hf());
  ASSERT_TRUE(source) << source.error().message;
  const auto report = quantize_model(*source, out(), {.recipe = find_recipe("F32")});
  ASSERT_TRUE(report) << report.error().message;
  const auto before = model::Encoder::load(original()), after = model::Encoder::load(out());
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ((*after)->config().pooling, model::Pooling::kFirst);
  const auto tokens = (*after)->tokenizer().encode("The cats sat.", {.add_special = true});
  EXPECT_EQ(tokens, (*before)->tokenizer().encode("The cats sat.", {.add_special = true}));
  EXPECT_EQ(tokens, (std::vector<text::TokenId>{2, 4, 5, 10, 7, 11, 3}));
  ThreadPool pool(1);
  EXPECT_EQ(*(*after)->encode(std::span(&tokens, 1), pool),
            *(*before)->encode(std::span(&tokens, 1), pool));
}

TEST_F(HfEncoder, RanksAsTheOriginal) {
  make_tensors({.pooling = 4});
  edit("config.json", "/architectures/0", "BertForSequenceClassification");
  const auto source = open_source(hf());
  ASSERT_TRUE(source) << source.error().message;
  const auto report = quantize_model(*source, out(), {.recipe = find_recipe("F32")});
  ASSERT_TRUE(report) << report.error().message;
  const auto before = model::Encoder::load(original()), after = model::Encoder::load(out());
  ASSERT_TRUE(after) << after.error().message;
  ASSERT_TRUE((*after)->ranks());
  ThreadPool pool(1);
  const model::TextPair pair = (*after)->pair("the cats", "dogs sat.");
  EXPECT_EQ(*(*after)->score(std::span(&pair, 1), pool),
            *(*before)->score(std::span(&pair, 1), pool));
}

TEST_F(HfEncoder, TakesTheMeanWhereNothingIsSaid) {
  std::filesystem::remove_all(hf() / "1_Pooling");
  const auto source = open_source(hf());
  ASSERT_TRUE(source);
  ASSERT_TRUE(quantize_model(*source, out(), {.recipe = find_recipe("F16")}));
  const auto loaded = model::Encoder::load(out());
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ((*loaded)->config().pooling, model::Pooling::kMean);
}

TEST_F(HfEncoder, RefusesWhatWouldBeComputedOtherwise) {
  edit("1_Pooling/config.json", "/pooling_mode_max_tokens", true);
  expect_refused("it pools in a way");
  edit("config.json", "/position_embedding_type", "relative_key");
  expect_refused("positions are 'relative_key'");
  edit("config.json", "/hidden_act", "relu");
  expect_refused("'relu'");
  std::ofstream(hf() / "config.json") << config();
  std::filesystem::remove_all(hf() / "1_Pooling");
  edit("config.json", "/type_vocab_size", 0);
  expect_refused("'type_vocab_size' must be an integer");
  std::ofstream(hf() / "config.json") << config();
  edit("tokenizer.json", "/normalizer/lowercase", false);
  expect_refused("in another way than BERT");
}

}  // namespace
}  // namespace hearth::convert

// Real vocabularies as tokenizer.json and back: the same ids for the same texts (shared/vocab).
#include "convert/hf_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <unordered_map>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "gguf/gguf_file.h"
#include "model/vocab.h"

namespace hearth::convert {
namespace {

using text::TokenType;
using text::VocabSpec;

const std::filesystem::path kVocab = std::filesystem::path(HEARTH_SHARED_DIR) / "vocab";

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json split(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json sequence(std::vector<Json> parts) { return {{"type", "Sequence"}, {"pretokenizers", parts}}; }

// As the models' own files have them.
const char* const kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json added_tokens(const VocabSpec& spec) {
  Json added = Json::array();
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const TokenType type = spec.types.empty() ? TokenType::kNormal : spec.types[id];
    const bool control = type == TokenType::kControl || type == TokenType::kUnknown;
    if (!control && type != TokenType::kUserDefined) continue;
    added.push_back({{"id", id}, {"content", spec.tokens[id]}, {"special", control}});
  }
  return added;
}

// Every pair of tokens that makes a third, the best score first: how a SentencePiece model becomes
// a list of merges.
Json merges_by_score(const VocabSpec& spec) {
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) ids[spec.tokens[id]] = id;
  struct Merge {
    float score;
    std::size_t id, cut;
  };
  std::vector<Merge> merges;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string& token = spec.tokens[id];
    if (spec.types[id] != TokenType::kNormal) continue;
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      if (ids.contains(std::string_view(token).substr(0, cut)) &&
          ids.contains(std::string_view(token).substr(cut))) {
        merges.push_back({spec.scores[id], id, cut});
      }
    }
  }
  std::ranges::stable_sort(merges, std::greater(), &Merge::score);
  Json list = Json::array();
  for (const Merge& merge : merges) {
    const std::string& token = spec.tokens[merge.id];
    list.push_back({token.substr(0, merge.cut), token.substr(merge.cut)});
  }
  return list;
}

class HfTokenizer : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kVocab)) GTEST_SKIP() << "no shared data";
  }

  static VocabSpec vocab(const std::string& name) {
    const auto file = gguf::GgufFile::open(kVocab / (name + ".gguf"));
    HEARTH_CHECK(file);
    return model::vocab_from_gguf(*file).value();
  }

  Json tokenizer_json(const VocabSpec& spec, const Json& pre_tokenizer) const {
    Json tokens;
    for (std::size_t id = 0; id < spec.tokens.size(); ++id) tokens[spec.tokens[id]] = id;
    Json model = {{"type", "BPE"}, {"vocab", tokens}};
    if (spec.model == "gpt2") {
      model["merges"] = spec.merges;
      return {
          {"added_tokens", added_tokens(spec)}, {"pre_tokenizer", pre_tokenizer}, {"model", model}};
    }
    model["merges"] = merges_by_score(spec);
    model["byte_fallback"] = true;
    model["unk_token"] = "<unk>";
    const Json prepend = {{"type", "Prepend"}, {"prepend", "\u2581"}};
    const Json replace = {
        {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
    return {{"added_tokens", added_tokens(spec)},
            {"normalizer", {{"type", "Sequence"}, {"normalizers", {prepend, replace}}}},
            {"pre_tokenizer", nullptr},
            {"model", model}};
  }

  // The tokenizer of a GGUF file whose vocabulary went through tokenizer.json.
  std::unique_ptr<const text::Tokenizer> convert(const VocabSpec& spec, const Json& tokenizer) {
    std::ofstream(folder_ / "tokenizer.json") << tokenizer;
    gguf::GgufWriter writer;
    const auto written = write_hf_tokenizer(folder_.path(), Json::object(),
                                            static_cast<std::uint32_t>(spec.tokens.size()), writer);
    EXPECT_TRUE(written) << written.error().message;
    if (!written) return nullptr;
    bytes_ = writer.to_bytes();
    const auto file = gguf::GgufFile::parse(std::as_bytes(std::span(bytes_)), "test.gguf");
    HEARTH_CHECK(file);
    return model::load_tokenizer(*file).value();
  }

  void expect_same_ids(const std::string& name, const Json& pre_tokenizer) {
    const VocabSpec spec = vocab(name);
    Json json = tokenizer_json(spec, pre_tokenizer);
    if (name == "llama-3.2") json["model"]["ignore_merges"] = true;
    const auto ours = convert(spec, json);
    ASSERT_NE(ours, nullptr);
    const auto truth = model::load_tokenizer(kVocab / (name + ".gguf")).value();
    std::string text = read_file(kVocab / (name + ".inp")).value();
    constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
    std::size_t n = 0;
    for (std::size_t at = 0; at < text.size(); ++n) {
      const std::size_t end = std::min(text.find(kSeparator, at), text.size());
      const std::string_view part = std::string_view(text).substr(at, end - at);
      EXPECT_EQ(ours->encode(part), truth->encode(part)) << name << ": '" << part << "'";
      at = end + kSeparator.size();
    }
    EXPECT_GT(n, 10U);
  }

  const TempFolder folder_;
  std::string bytes_;
};

TEST_F(HfTokenizer, Gpt2) { expect_same_ids("gpt-2", byte_level(true)); }
TEST_F(HfTokenizer, Llama3) {
  expect_same_ids("llama-3.2", sequence({split(kLlama3), byte_level(false)}));
}
TEST_F(HfTokenizer, Qwen3) {
  expect_same_ids("qwen3", sequence({split(kQwen2), byte_level(false)}));
}
TEST_F(HfTokenizer, Starcoder) {
  expect_same_ids("starcoder",
                  sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}));
}
TEST_F(HfTokenizer, LlamaSentencePiece) { expect_same_ids("llama-spm", nullptr); }
TEST_F(HfTokenizer, Phi3SentencePiece) { expect_same_ids("phi-3", nullptr); }

// A tokenizer.json with three tokens; `pre_tokenizer` and `normalizer` as given.
Json small(const Json& pre_tokenizer, const Json& normalizer = nullptr) {
  return {{"pre_tokenizer", pre_tokenizer},
          {"normalizer", normalizer},
          {"model",
           {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}}};
}

TEST_F(HfTokenizer, PreTokenizersAreFoundByWhatTheyDo) {
  EXPECT_EQ(pre_tokenizer_name(small(byte_level(true)), "t").value_or(""), "gpt-2");
  EXPECT_EQ(
      pre_tokenizer_name(small(sequence({split(kLlama3), byte_level(false)})), "t").value_or(""),
      "dbrx");
  Json removed = split(kQwen2);
  removed["behavior"] = "Removed";
  removed["invert"] = true;
  EXPECT_EQ(pre_tokenizer_name(small(sequence({removed, byte_level(false)})), "t").value_or(""),
            "qwen2");
  removed["invert"] = false;
  const Json unknown[] = {small(sequence({removed, byte_level(false)})),
                          small(split("x")),
                          small(nullptr),
                          small(sequence({{{"type", "Whitespace"}}, byte_level(true)})),
                          Json::array(),
                          Json()};
  for (const Json& json : unknown) {
    const auto refused = pre_tokenizer_name(json, "some/tokenizer.json");
    ASSERT_FALSE(refused) << json;
    EXPECT_EQ(refused.error().code, Code::kUnsupported);
    EXPECT_NE(refused.error().message.find("some/tokenizer.json"), std::string::npos);
  }
}

TEST_F(HfTokenizer, WhatIsNotUnderstoodIsRefused) {
  const auto refused = [](const Json& json) {
    const auto spec = vocab_of_tokenizer_json(json, "tokenizer.json");
    return spec ? std::string() : spec.error().message;
  };
  EXPECT_EQ(refused(small(byte_level(true), {{"type", "NFC"}})), "");
  EXPECT_NE(refused(small(byte_level(true), {{"type", "Lowercase"}})), "");
  EXPECT_NE(refused(small(nullptr)), "");
  EXPECT_NE(refused(Json::object()), "");
  Json json = small(byte_level(true));
  json["model"]["type"] = "Unigram";
  EXPECT_NE(refused(json).find("Unigram"), std::string::npos);
  json = small(byte_level(true));
  json["model"]["vocab"]["far"] = 1'000'000'000;
  EXPECT_NE(refused(json).find("far"), std::string::npos);
  json = small(byte_level(true));
  json["model"]["merges"] = {"ab"};
  EXPECT_NE(refused(json).find("merge"), std::string::npos);
}

TEST_F(HfTokenizer, AddedTokensGetTheirTypes) {
  Json json = small(byte_level(true));
  json["added_tokens"] = {{{"id", 3}, {"content", "<s>"}, {"special", true}},
                          {{"id", 4}, {"content", "<think>"}, {"special", false}},
                          {{"id", 6}, {"content", "<|im_end|>"}, {"special", false}}};
  const auto spec = vocab_of_tokenizer_json(json, "t").value();
  EXPECT_EQ(spec.types[3], TokenType::kControl);
  EXPECT_EQ(spec.types[4], TokenType::kUserDefined);
  EXPECT_EQ(spec.tokens[5], "[PAD5]");
  EXPECT_EQ(spec.types[5], TokenType::kUnused);
  EXPECT_EQ(spec.types[6], TokenType::kControl);
}

}  // namespace
}  // namespace hearth::convert

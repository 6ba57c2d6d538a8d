// PEFT folders: the same adapter in both layouts gives the same bits, and what would be left out is
// refused.
#include "convert/peft_adapter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "convert/hf_folder_for_test.h"
#include "gguf/gguf_writer.h"
#include "model/random_adapter.h"
#include "model/random_model.h"
#include "model/session_for_test.h"

namespace hearth::convert {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::string> kModules = {
    {"attn_q", "self_attn.q_proj"},  {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},  {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},   {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

class PeftAdapterTest : public ::testing::Test {
 protected:
  void make_base(const std::string& architecture) {
    folder_ = temporary_ / architecture;
    fs::create_directories(folder_ / "peft");
    ASSERT_TRUE(model::write_random_model(folder_ / "base.gguf", {.architecture = architecture,
                                                                  .type = "F32",
                                                                  .n_layers = 2,
                                                                  .d_model = 64,
                                                                  .d_ff = 96,
                                                                  .n_heads = 4,
                                                                  .n_kv_heads = 2,
                                                                  .head_dim = 16,
                                                                  .n_vocab = 300}));
    auto loaded = model::Model::load(folder_ / "base.gguf");
    ASSERT_TRUE(loaded) << loaded.error().message;
    base_ = *std::move(loaded);
  }

  // Writes the GGUF adapter, and the same as PEFT would have.
  void write_both(const nlohmann::json& config, bool permutes) {
    const fs::path gguf_path = folder_ / "adapter.gguf";
    ASSERT_TRUE(model::write_random_adapter(
        gguf_path, *base_,
        {.rank = 4, .type = "F32", .alpha = 8, .spread = 0.1F, .embedding = true, .output = true}));
    const auto file = gguf::GgufFile::open(gguf_path);
    ASSERT_TRUE(file);
    SafetensorsWriter writer;
    for (const gguf::TensorInfo& info : file->tensors()) add(writer, info, permutes);
    writer.write(folder_ / "peft", 1);
    fs::rename(folder_ / "peft" / "model.safetensors",
               folder_ / "peft" / "adapter_model.safetensors");
    write_config(config);
  }

  void write_config(const nlohmann::json& config) {
    ASSERT_TRUE(write_file_atomic(folder_ / "peft" / "adapter_config.json", config.dump()));
  }

  static void add(SafetensorsWriter& writer, const gguf::TensorInfo& info, bool permutes) {
    const std::uint64_t rows = info.dims[1], cols = info.dims[0];
    std::vector<float> values(rows * cols);
    std::memcpy(values.data(), info.data.data(), info.data.size());
    const bool is_a = info.name.ends_with("a");
    const std::string target(info.name.substr(0, info.name.size() - std::string(".weight.lora_a").size()));
    const std::string half = is_a ? "A" : "B";
    if (target == "token_embd") {
      std::vector<float> turned(values.size());
      for (std::uint64_t r = 0; r < rows; ++r) {
        for (std::uint64_t c = 0; c < cols; ++c) turned[c * rows + r] = values[r * cols + c];
      }
      return writer.add("base_model.model.model.embed_tokens.lora_embedding_" + half, "F32",
                        is_a ? std::vector{cols, rows} : std::vector{rows, cols},
                        bytes_of(is_a ? turned : values));
    }
    std::string module = "lm_head";
    if (target != "output") {
      const std::size_t dot = target.find('.', 4);
      const std::string matrix = target.substr(dot + 1);
      module = "model.layers." + target.substr(4, dot - 4) + "." + kModules.at(matrix);
      if (permutes && !is_a && (matrix == "attn_q" || matrix == "attn_k")) {
        constexpr std::uint64_t kHead = 16;
        std::vector<float> halves(values.size());
        for (std::uint64_t r = 0; r < rows; ++r) {
          const std::uint64_t i = r % kHead;
          const std::uint64_t to = r - i + (i % 2) * kHead / 2 + i / 2;
          std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r * cols), cols,
                      halves.begin() + static_cast<std::ptrdiff_t>(to * cols));
        }
        values = halves;
      }
    }
    writer.add("base_model.model." + module + ".lora_" + half + ".weight", "F32", {rows, cols},
               bytes_of(values));
  }

  std::vector<float> logits(const model::Adapter& adapter) const {
    const model::AdapterUse use{&adapter};
    model::SessionForTest session(*base_);
    const std::vector<text::TokenId> tokens = {5, 6, 7, 80, 9, 100, 11, 12};
    return session.run(tokens, {&use, 1});
  }

  std::string refusal() const {
    const auto adapter = load_adapter(folder_ / "peft", *base_);
    return adapter ? "" : adapter.error().message;
  }

  const TempFolder temporary_;
  fs::path folder_;
  std::shared_ptr<const model::Model> base_;
};

const nlohmann::json kConfig = {{"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 8}};

TEST_F(PeftAdapterTest, IsTheGgufAdapterToTheBit) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    make_base(architecture);
    write_both(kConfig, std::string(architecture) == "llama");
    const auto from_gguf = load_adapter(folder_ / "adapter.gguf", *base_);
    ASSERT_TRUE(from_gguf) << from_gguf.error().message;
    for (const fs::path& path :
         {folder_ / "peft", folder_ / "peft" / "adapter_config.json",
          folder_ / "peft" / "adapter_model.safetensors"}) {
      const auto from_peft = load_adapter(path, *base_);
      ASSERT_TRUE(from_peft) << from_peft.error().message;
      EXPECT_EQ(logits(**from_peft), logits(**from_gguf)) << architecture;
    }
  }
}

TEST_F(PeftAdapterTest, StrengthFollowsTheConfiguration) {
  make_base("llama");
  write_both(kConfig, true);
  const auto scale_of = [&](nlohmann::json config, model::AdapterSlot slot) {
    config.update({{"peft_type", "LORA"}, {"r", 4}});
    write_config(config);
    const auto adapter = load_adapter(folder_ / "peft", *base_);
    EXPECT_TRUE(adapter) << adapter.error().message;
    return (*adapter)->at(slot, 1).scale;
  };
  using enum model::AdapterSlot;
  const float plain = scale_of({{"lora_alpha", 8}}, kQuery);
  EXPECT_FLOAT_EQ(scale_of({{"lora_alpha", 16}}, kQuery), 2 * plain);
  EXPECT_FLOAT_EQ(scale_of({{"lora_alpha", 8}, {"use_rslora", true}}, kQuery), 2 * plain);
  const nlohmann::json patterns = {
      {"lora_alpha", 8},
      {"alpha_pattern", {{"q_proj", 24}, {"^model.layers.0.self_attn.k_proj", 80}}}};
  EXPECT_FLOAT_EQ(scale_of(patterns, kQuery), 3 * plain);
  EXPECT_FLOAT_EQ(scale_of(patterns, kKey), scale_of({{"lora_alpha", 8}}, kKey));
}

TEST_F(PeftAdapterTest, ReadsInvocationTokens) {
  make_base("llama");
  nlohmann::json config = kConfig;
  config["alora_invocation_tokens"] = {7, 80};
  write_both(config, true);
  const auto adapter = load_adapter(folder_ / "peft", *base_);
  ASSERT_TRUE(adapter) << adapter.error().message;
  EXPECT_TRUE(std::ranges::equal((*adapter)->invocation_tokens(), std::vector<text::TokenId>{7, 80}));
}

TEST_F(PeftAdapterTest, RefusesWhatItWouldLeaveOut) {
  make_base("llama");
  write_both(kConfig, true);
  const auto with = [&](const std::string& key, nlohmann::json value) {
    nlohmann::json config = kConfig;
    config[key] = std::move(value);
    write_config(config);
    return refusal();
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_EQ(refusal(), "");
  EXPECT_PRED2(has, with("peft_type", "IA3"), "IA3");
  EXPECT_PRED2(has, with("use_dora", true), "DoRA");
  EXPECT_PRED2(has, with("lora_alpha", "much"), "lora_alpha");
  EXPECT_PRED2(has, with("alpha_pattern", {{".*q_proj", 3}}), "alpha_pattern");
  EXPECT_PRED2(has, with("alora_invocation_tokens", nlohmann::json::array()), "invocation");
  EXPECT_PRED2(has, with("alora_invocation_tokens", {5, 300}), "invocation token 300");
  write_config(kConfig);

  const auto file = [&](const std::string& name, std::vector<std::uint64_t> shape) {
    SafetensorsWriter writer;
    std::uint64_t n = 1;
    for (const std::uint64_t dim : shape) n *= dim;
    writer.add(name, "F32", std::move(shape), std::string(n * 4, '\0'));
    writer.write(folder_ / "peft", 1);
    fs::rename(folder_ / "peft" / "model.safetensors",
               folder_ / "peft" / "adapter_model.safetensors");
    return refusal();
  };
  const std::string module = "base_model.model.model.layers.0.self_attn.q_proj";
  EXPECT_PRED2(has, file(module + ".lora_A.weight", {4, 64}), "one matrix is missing");
  EXPECT_PRED2(has, file(module + ".lora_magnitude_vector", {64}), "no part of a LoRA");
  EXPECT_PRED2(has, file("base_model.model.lm_head.weight", {300, 64}), "no part of a LoRA");
  fs::remove(folder_ / "peft" / "adapter_model.safetensors");
  EXPECT_PRED2(has, refusal(), "safetensors");
}

}  // namespace
}  // namespace hearth::convert

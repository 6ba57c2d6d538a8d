// Writes a GGUF model as a folder in Hugging Face's layout, for tests of the way back.  Its rules
// are written out again here, apart from those of the code under test.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gguf/gguf_file.h"
#include "tensor/dequantize.h"

namespace hearth::convert {

// Collects tensors and writes them as one safetensors file, or as several with an index.
class SafetensorsWriter {
 public:
  void add(const std::string& name, const std::string& dtype, std::vector<std::uint64_t> shape,
           std::string bytes) {
    entries_.push_back({name, dtype, std::move(shape), std::move(bytes)});
  }

  void write(const std::filesystem::path& folder, std::size_t n_files) const {
    if (n_files == 1) return write_file(folder / "model.safetensors", 0, 1);
    nlohmann::json map;
    for (std::size_t i = 0; i < n_files; ++i) {
      const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, n_files);
      write_file(folder / name, i, n_files);
      for (std::size_t e = i; e < entries_.size(); e += n_files) map[entries_[e].name] = name;
    }
    std::ofstream(folder / "model.safetensors.index.json")
        << nlohmann::json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}};
  }

 private:
  struct Entry {
    std::string name, dtype;
    std::vector<std::uint64_t> shape;
    std::string bytes;
  };

  void write_file(const std::filesystem::path& path, std::size_t first, std::size_t step) const {
    nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
    std::string data;
    for (std::size_t e = first; e < entries_.size(); e += step) {
      const Entry& entry = entries_[e];
      const std::size_t begin = data.size();
      data += entry.bytes;
      header[entry.name] = {
          {"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {begin, data.size()}}};
    }
    const std::string text = header.dump();
    const std::uint64_t n = text.size();
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&n), sizeof n);
    out << text << data;
  }

  std::vector<Entry> entries_;
};

struct HfArchitecture {
  std::string name;
  bool rotates_neighbours = false, is_gemma = false, norms_outputs = false;
};

inline const std::map<std::string, HfArchitecture>& hf_architectures() {
  static const std::map<std::string, HfArchitecture> all = {
      {"llama", {"LlamaForCausalLM", true, false}},
      {"qwen2", {"Qwen2ForCausalLM", false, false}},
      {"qwen3", {"Qwen3ForCausalLM", false, false}},
      {"qwen3moe", {"Qwen3MoeForCausalLM", false, false}},
      {"gemma2", {"Gemma2ForCausalLM", false, true}},
      {"gemma3", {"Gemma3ForCausalLM", false, true}},
      {"phi3", {"Phi3ForCausalLM", false, false}},
      {"smollm3", {"SmolLM3ForCausalLM", true, false}},
      {"olmo2", {"Olmo3ForCausalLM", false, false, true}},
      {"granite", {"GraniteForCausalLM", true, false}},
      {"mistral3", {"Ministral3ForCausalLM", true, false}},
  };
  return all;
}

class HfFolderMaker {
 public:
  HfFolderMaker(const gguf::GgufFile& file, std::filesystem::path folder)
      : file_(file), folder_(std::move(folder)) {
    architecture_ = file.get_string("general.architecture").value();
    kind_ = hf_architectures().at(architecture_);
  }

  void make(std::size_t n_files = 1) {
    std::filesystem::create_directories(folder_);
    SafetensorsWriter writer;
    for (const gguf::TensorInfo& info : file_.tensors()) add(info, writer);
    writer.write(folder_, n_files);
    std::ofstream(folder_ / "config.json") << config();
    std::ofstream(folder_ / "tokenizer.json") << tokenizer();
    std::ofstream(folder_ / "tokenizer_config.json")
        << nlohmann::json{{"bos_token", {{"content", "<s>"}}},
                          {"eos_token", "</s>"},
                          {"add_bos_token", true},
                          {"chat_template", "{{ messages }}"}};
  }

  nlohmann::json config() const {
    const auto number = [&](const std::string& suffix) {
      return file_.get_u32(architecture_ + "." + suffix).value();
    };
    const auto real = [&](const std::string& suffix) {
      return file_.get_f32(architecture_ + "." + suffix).value();
    };
    nlohmann::json config = {{"architectures", {kind_.name}},
                             {"num_hidden_layers", number("block_count")},
                             {"hidden_size", number("embedding_length")},
                             {"intermediate_size", number("feed_forward_length")},
                             {"num_attention_heads", number("attention.head_count")},
                             {"num_key_value_heads", number("attention.head_count_kv")},
                             {"head_dim", number("attention.key_length")},
                             {"rms_norm_eps", real("attention.layer_norm_rms_epsilon")},
                             {"max_position_embeddings", number("context_length")},
                             {"vocab_size", number("vocab_size")},
                             {"rope_theta", real("rope.freq_base")},
                             {"hidden_act", kind_.is_gemma ? "gelu_pytorch_tanh" : "silu"}};
    if (file_.find(architecture_ + ".attention.sliding_window") != nullptr) {
      config["sliding_window"] = number("attention.sliding_window");
    }
    if (architecture_ == "gemma2") {
      config["attn_logit_softcapping"] = real("attn_logit_softcapping");
      config["final_logit_softcapping"] = real("final_logit_softcapping");
    }
    if (architecture_ == "gemma3") config["rope_local_base_freq"] = 10000.0;
    if (architecture_ == "granite") {
      config["embedding_multiplier"] = real("embedding_scale");
      config["residual_multiplier"] = real("residual_scale");
      config["attention_multiplier"] = real("attention.scale");
      config["logits_scaling"] = real("logit_scale");
    }
    if (architecture_ == "olmo2" || architecture_ == "mistral3") {
      config["rope_parameters"] = {
          {"rope_type", "yarn"},
          {"rope_theta", real("rope.freq_base")},
          {"factor", real("rope.scaling.factor")},
          {"original_max_position_embeddings", number("rope.scaling.original_context_length")}};
    }
    if (architecture_ == "mistral3") {
      config["rope_parameters"]["mscale_all_dim"] = real("rope.scaling.yarn_log_multiplier");
      config["rope_parameters"]["llama_4_scaling_beta"] = real("attention.temperature_scale");
    }
    if (architecture_ == "olmo2") {
      config["layer_types"] = {"sliding_attention", "sliding_attention", "sliding_attention",
                               "full_attention"};
    }
    if (architecture_ == "qwen3moe") {
      config["num_experts"] = number("expert_count");
      config["num_experts_per_tok"] = number("expert_used_count");
      config["moe_intermediate_size"] = number("expert_feed_forward_length");
      config["norm_topk_prob"] = true;
    }
    return config;
  }

  // The SentencePiece-like vocabulary of the parity models, in which nothing merges.
  nlohmann::json tokenizer() const {
    nlohmann::json vocab, added = nlohmann::json::array();
    std::size_t id = 0;
    const gguf::Value* const types = file_.find("tokenizer.ggml.token_type");
    const gguf::StringRange tokens = file_.get_strings("tokenizer.ggml.tokens").value();
    for (const std::string_view token : tokens) {
      vocab[std::string(token)] = id;
      if (types->u64_at(id) == 3U || types->u64_at(id) == 2U) {
        added.push_back({{"id", id}, {"content", token}, {"special", true}});
      }
      ++id;
    }
    const nlohmann::json replace = {
        {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
    return {{"added_tokens", added},
            {"normalizer", {{"type", "Sequence"}, {"normalizers", {replace}}}},
            {"pre_tokenizer", nullptr},
            {"model",
             {{"type", "BPE"},
              {"byte_fallback", true},
              {"unk_token", "<unk>"},
              {"vocab", vocab},
              {"merges", nlohmann::json::array()}}}};
  }

 private:
  // "model.layers.3.self_attn.q_proj.weight" of "blk.3.attn_q.weight".
  std::string hf_name(const std::string& name) const {
    static const std::map<std::string, std::string> kWhole = {
        {"token_embd.weight", "model.embed_tokens.weight"},
        {"output_norm.weight", "model.norm.weight"},
        {"output.weight", "lm_head.weight"}};
    if (const auto found = kWhole.find(name); found != kWhole.end()) return found->second;
    std::map<std::string, std::string> parts = {{"attn_norm", "input_layernorm"},
                                                {"attn_q", "self_attn.q_proj"},
                                                {"attn_k", "self_attn.k_proj"},
                                                {"attn_v", "self_attn.v_proj"},
                                                {"attn_output", "self_attn.o_proj"},
                                                {"attn_q_norm", "self_attn.q_norm"},
                                                {"attn_k_norm", "self_attn.k_norm"},
                                                {"attn_qkv", "self_attn.qkv_proj"},
                                                {"ffn_norm", "post_attention_layernorm"},
                                                {"ffn_gate", "mlp.gate_proj"},
                                                {"ffn_up", "mlp.up_proj"},
                                                {"ffn_down", "mlp.down_proj"},
                                                {"ffn_gate_inp", "mlp.gate"},
                                                {"ffn_gate_exps", "mlp.experts.{}.gate_proj"},
                                                {"ffn_up_exps", "mlp.experts.{}.up_proj"},
                                                {"ffn_down_exps", "mlp.experts.{}.down_proj"}};
    if (kind_.is_gemma) parts["ffn_norm"] = "pre_feedforward_layernorm";
    if (kind_.is_gemma || kind_.norms_outputs) {
      parts["post_attention_norm"] = "post_attention_layernorm";
      parts["post_ffw_norm"] = "post_feedforward_layernorm";
    }
    if (architecture_ == "phi3") parts["ffn_up"] = "mlp.gate_up_proj";
    const std::size_t first = name.find('.', 4), last = name.rfind('.');
    return fmt::format("model.layers.{}.{}{}", name.substr(4, first - 4),
                       parts.at(name.substr(first + 1, last - first - 1)), name.substr(last));
  }

  void add(const gguf::TensorInfo& info, SafetensorsWriter& writer) const {
    const std::string name(info.name);
    if (name == "rope_freqs.weight") return;
    std::string bytes(reinterpret_cast<const char*>(info.data.data()), info.data.size());
    const bool is_query = name.find(".attn_q.") != name.npos;
    const bool is_key = name.find(".attn_k.") != name.npos;
    if (kind_.rotates_neighbours && (is_query || is_key)) bytes = halves(info, bytes);
    if (kind_.is_gemma && name.ends_with("norm.weight")) bytes = less_one(bytes);
    const std::string dtype(tensor::dtype_info(info.type).name);
    const std::string target = hf_name(name);
    std::vector<std::uint64_t> shape(info.dims.begin(), info.dims.begin() + info.n_dims);
    std::ranges::reverse(shape);
    if (target.find("{}") == target.npos) return writer.add(target, dtype, shape, bytes);
    const std::size_t size = bytes.size() / shape[0];
    for (std::size_t e = 0; e < shape[0]; ++e) {
      writer.add(fmt::format(fmt::runtime(target), e), dtype, {shape[1], shape[2]},
                 bytes.substr(e * size, size));
    }
  }

  // Rows 0 1 2 3 4 5 of a head become 0 2 4 1 3 5.
  std::string halves(const gguf::TensorInfo& info, const std::string& bytes) const {
    const std::size_t rows = info.n_dims == 1 ? info.dims[0] : info.dims[1];
    const std::size_t row = bytes.size() / rows;
    const std::size_t head = file_.get_u32(architecture_ + ".attention.key_length").value();
    std::string out(bytes.size(), '\0');
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t within = r % head;
      const std::size_t to = r - within + within / 2 + (within % 2) * head / 2;
      std::memcpy(out.data() + to * row, bytes.data() + r * row, row);
    }
    return out;
  }

  static std::string less_one(std::string bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) {
      float value = 0;
      std::memcpy(&value, bytes.data() + i, sizeof value);
      value -= 1.0F;
      std::memcpy(bytes.data() + i, &value, sizeof value);
    }
    return bytes;
  }

  const gguf::GgufFile& file_;
  std::filesystem::path folder_;
  std::string architecture_;
  HfArchitecture kind_;
};

}  // namespace hearth::convert

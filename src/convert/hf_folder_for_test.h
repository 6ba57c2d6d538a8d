// Writes a GGUF model as a folder in Hugging Face's layout, for tests of the way back.  Its rules
// are written out again here, apart from those of the code under test.
#pragma once

#include <fmt/format.h>

#include <cmath>
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
      {"lfm2", {"Lfm2ForCausalLM", false, false}},
      {"qwen35", {"Qwen3_5ForCausalLM", false, false}},
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
                             {"num_key_value_heads", architecture_ == "lfm2"
                                                         ? 1
                                                         : number("attention.head_count_kv")},
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
    if (architecture_ == "lfm2") {
      config["layer_types"] = {"conv", "full_attention", "conv"};
      config["norm_eps"] = config["rms_norm_eps"];
      config["conv_L_cache"] = number("shortconv.l_cache");
      config["block_ff_dim"] = 72;  // Of which two thirds, and that a multiple of 16.
      config["block_multiple_of"] = 16;
      config.erase("rms_norm_eps");
      config.erase("intermediate_size");
    }
    if (architecture_ == "qwen35") {
      config["layer_types"] = {"linear_attention", "full_attention", "linear_attention"};
      config["full_attention_interval"] = 2;
      config["linear_conv_kernel_dim"] = number("ssm.conv_kernel");
      config["linear_key_head_dim"] = config["linear_value_head_dim"] = number("ssm.state_size");
      config["linear_num_key_heads"] = number("ssm.group_count");
      config["linear_num_value_heads"] = number("ssm.time_step_rank");
      config["rope_parameters"] = {{"rope_type", "default"},
                                   {"rope_theta", real("rope.freq_base")},
                                   {"partial_rotary_factor", 0.5},
                                   {"mrope_section", {2, 1, 1}}};
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
    if (architecture_ == "lfm2") {
      if (name == "token_embd_norm.weight") return "model.embedding_norm.weight";
      parts = {{"attn_norm", "operator_norm"},
               {"ffn_norm", "ffn_norm"},
               {"attn_q", "self_attn.q_proj"},
               {"attn_k", "self_attn.k_proj"},
               {"attn_v", "self_attn.v_proj"},
               {"attn_output", "self_attn.out_proj"},
               {"attn_q_norm", "self_attn.q_layernorm"},
               {"attn_k_norm", "self_attn.k_layernorm"},
               {"ffn_gate", "feed_forward.w1"},
               {"ffn_up", "feed_forward.w3"},
               {"ffn_down", "feed_forward.w2"},
               {"shortconv.in_proj", "conv.in_proj"},
               {"shortconv.conv", "conv.conv"},
               {"shortconv.out_proj", "conv.out_proj"}};
    }
    if (architecture_ == "qwen35") {
      if (name.ends_with(".ssm_a")) return layer_of(name) + "linear_attn.A_log";
      if (name.ends_with(".ssm_dt.bias")) return layer_of(name) + "linear_attn.dt_bias";
      parts.insert({{"post_attention_norm", "post_attention_layernorm"},
                    {"ssm_beta", "linear_attn.in_proj_b"},
                    {"ssm_alpha", "linear_attn.in_proj_a"},
                    {"ssm_conv1d", "linear_attn.conv1d"},
                    {"ssm_norm", "linear_attn.norm"},
                    {"ssm_out", "linear_attn.out_proj"},
                    {"attn_gate", "linear_attn.in_proj_z"}});
      parts["attn_qkv"] = "linear_attn.in_proj_qkv";
    }
    const std::size_t first = name.find('.', 4), last = name.rfind('.');
    return fmt::format("model.layers.{}.{}{}", name.substr(4, first - 4),
                       parts.at(name.substr(first + 1, last - first - 1)), name.substr(last));
  }

  static std::string layer_of(const std::string& name) {
    return fmt::format("model.layers.{}.", name.substr(4, name.find('.', 4) - 4));
  }

  // Rows or columns of value heads 0 1 2 3 of two key heads are stored as 0 2 1 3: those of a key
  // head together.  `first` rows before them stay.
  std::string grouped(const gguf::TensorInfo& info, const std::string& bytes, std::size_t first,
                      std::size_t size, bool is_cols) const {
    const std::size_t rows = info.n_dims == 1 ? info.dims[0] : info.dims[1];
    const std::size_t cols = info.n_dims == 1 ? 1 : info.dims[0];
    const std::size_t element = bytes.size() / rows / cols;
    const std::size_t n_key = file_.get_u32("qwen35.ssm.group_count").value();
    const std::size_t n_value = file_.get_u32("qwen35.ssm.time_step_rank").value();
    const auto to = [&](std::size_t i) {
      if (i < first) return i;
      const std::size_t head = (i - first) / size;
      const std::size_t at = head % n_key * (n_value / n_key) + head / n_key;
      return first + at * size + (i - first) % size;
    };
    std::string out(bytes.size(), '\0');
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        const std::size_t at = is_cols ? r * cols + to(c) : to(r) * cols + c;
        std::memcpy(out.data() + at * element, bytes.data() + (r * cols + c) * element, element);
      }
    }
    return out;
  }

  std::string as_delta_net(const gguf::TensorInfo& info, std::string bytes) const {
    const std::string name(info.name);
    const std::size_t size = file_.get_u32("qwen35.ssm.state_size").value();
    const std::size_t before = 2 * size * file_.get_u32("qwen35.ssm.group_count").value();
    if (name.ends_with(".ssm_a")) {
      for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, bytes.data() + i, sizeof value);
        value = std::log(-value);
        std::memcpy(bytes.data() + i, &value, sizeof value);
      }
    }
    for (const char* const one : {".ssm_a", ".ssm_dt.bias", ".ssm_beta.weight", ".ssm_alpha.weight"}) {
      if (name.ends_with(one)) return grouped(info, bytes, 0, 1, false);
    }
    for (const char* const last : {".attn_qkv.weight", ".ssm_conv1d.weight"}) {
      if (name.ends_with(last)) return grouped(info, bytes, before, size, false);
    }
    if (name.ends_with(".attn_gate.weight")) return grouped(info, bytes, 0, size, false);
    if (name.ends_with(".ssm_out.weight")) return grouped(info, bytes, 0, size, true);
    if (name.ends_with("norm.weight") && !name.ends_with("ssm_norm.weight")) return less_one(bytes);
    return bytes;
  }

  void add(const gguf::TensorInfo& info, SafetensorsWriter& writer) const {
    const std::string name(info.name);
    if (name == "rope_freqs.weight") return;
    std::string bytes(reinterpret_cast<const char*>(info.data.data()), info.data.size());
    const bool is_query = name.find(".attn_q.") != name.npos;
    const bool is_key = name.find(".attn_k.") != name.npos;
    if (kind_.rotates_neighbours && (is_query || is_key)) bytes = halves(info, bytes);
    if (kind_.is_gemma && name.ends_with("norm.weight")) bytes = less_one(bytes);
    if (architecture_ == "qwen35") bytes = as_delta_net(info, bytes);
    const std::string dtype(tensor::dtype_info(info.type).name);
    const std::string target = hf_name(name);
    std::vector<std::uint64_t> shape(info.dims.begin(), info.dims.begin() + info.n_dims);
    std::ranges::reverse(shape);
    if (name.find("conv.conv") != name.npos || name.find("conv1d") != name.npos) {
      shape.insert(shape.begin() + 1, 1);
    }
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

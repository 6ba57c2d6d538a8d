#include "convert/hf_family.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hearth::convert {
namespace {

// Of Gemma 3's larger models, whose files leave out most of what their code assumes.
constexpr ConfigDefault kGemma3Defaults[] = {
    {"num_attention_heads", 8},
    {"num_key_value_heads", 4},
    {"head_dim", 256},
    {"rms_norm_eps", 1e-6},
    {"max_position_embeddings", 131072},
    {"rope_theta", 1e6},
    {"rope_local_base_freq", 1e4},
    {"sliding_window", 4096},
    {"vocab_size", 262208},
};
constexpr ConfigDefault kGemma2Defaults[] = {
    {"head_dim", 256},
    {"attn_logit_softcapping", 50},
    {"final_logit_softcapping", 30},
    {"sliding_window", 4096},
};

// Ministral 3, alone or as the part of a model that also sees.
constexpr HfFamily mistral3(std::string_view name) {
  return {.name = name,
          .architecture = "mistral3",
          .activation = "silu",
          .pairs_become_adjacent = true};
}

constexpr ConfigDefault kLfm2Defaults[] = {
    {"rope_theta", 1e6}, {"norm_eps", 1e-5}, {"conv_L_cache", 3}, {"block_multiple_of", 256}};
constexpr ConfigDefault kQwen35Defaults[] = {
    {"partial_rotary_factor", 0.25}, {"full_attention_interval", 4}, {"rope_theta", 1e7}};

constexpr HfFamily qwen35(std::string_view name) {
  return {.name = name,
          .architecture = "qwen35",
          .activation = "silu",
          .norms_lack_one = true,
          .names = HfNames::kDeltaNets,
          .defaults = kQwen35Defaults};
}

// The text model alone, or as the part of one that also sees.
constexpr HfFamily gemma3(std::string_view name) {
  return {.name = name,
          .architecture = "gemma3",
          .activation = "gelu_pytorch_tanh",
          .norms_lack_one = true,
          .sandwich_norms = true,
          .ties_output = true,
          .slides = true,
          .sliding_period = 6,
          .defaults = kGemma3Defaults};
}

constexpr HfFamily kFamilies[] = {
    {.name = "LlamaForCausalLM",
     .architecture = "llama",
     .activation = "silu",
     .pairs_become_adjacent = true},
    {.name = "MistralForCausalLM",
     .architecture = "llama",
     .activation = "silu",
     .pairs_become_adjacent = true},
    {.name = "Qwen2ForCausalLM", .architecture = "qwen2", .activation = "silu"},
    {.name = "Qwen3ForCausalLM", .architecture = "qwen3", .activation = "silu"},
    {.name = "Qwen3MoeForCausalLM", .architecture = "qwen3moe", .activation = "silu"},
    {.name = "Gemma2ForCausalLM",
     .architecture = "gemma2",
     .activation = "gelu_pytorch_tanh",
     .norms_lack_one = true,
     .sandwich_norms = true,
     .ties_output = true,
     .slides = true,
     .sliding_period = 2,
     .defaults = kGemma2Defaults},
    gemma3("Gemma3ForCausalLM"),
    gemma3("Gemma3ForConditionalGeneration"),
    {.name = "Phi3ForCausalLM", .architecture = "phi3", .activation = "silu", .slides = true},
    {.name = "SmolLM3ForCausalLM",
     .architecture = "smollm3",
     .activation = "silu",
     .pairs_become_adjacent = true,
     .no_rope_period = 4},
    {.name = "Olmo2ForCausalLM",
     .architecture = "olmo2",
     .activation = "silu",
     .sandwich_norms = true},
    {.name = "Olmo3ForCausalLM",
     .architecture = "olmo2",
     .activation = "silu",
     .sandwich_norms = true,
     .slides = true,
     .sliding_period = 4},
    {.name = "GraniteForCausalLM",
     .architecture = "granite",
     .activation = "silu",
     .pairs_become_adjacent = true},
    {.name = "Lfm2ForCausalLM",
     .architecture = "lfm2",
     .activation = "silu",
     .ties_output = true,
     .names = HfNames::kLfm2,
     .defaults = kLfm2Defaults},
    qwen35("Qwen3_5ForCausalLM"),
    qwen35("Qwen3_5ForConditionalGeneration"),
    mistral3("Ministral3ForCausalLM"),
    mistral3("Mistral3ForConditionalGeneration"),
    {.name = "BertModel", .architecture = "bert", .activation = "gelu", .is_encoder = true},
    {.name = "BertForSequenceClassification",
     .architecture = "bert",
     .activation = "gelu",
     .is_encoder = true,
     .ranks = true},
};

struct NameRow {
  std::string_view hf, gguf;
};

constexpr NameRow kGlobalNames[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};

// After "model.layers.N." and before ".weight" or ".bias".
constexpr NameRow kLayerNames[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"}, {"self_attn.qkv_proj", "attn_qkv"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},       {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.gate", "ffn_gate_inp"},
};
constexpr NameRow kPreNorms[] = {
    {"post_attention_layernorm", "ffn_norm"},
};
constexpr NameRow kLfm2Names[] = {
    {"operator_norm", "attn_norm"},        {"ffn_norm", "ffn_norm"},
    {"conv.in_proj", "shortconv.in_proj"}, {"conv.out_proj", "shortconv.out_proj"},
    {"conv.conv", "shortconv.conv"},       {"self_attn.out_proj", "attn_output"},
    {"self_attn.q_proj", "attn_q"},        {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},        {"self_attn.q_layernorm", "attn_q_norm"},
    {"feed_forward.w1", "ffn_gate"},       {"self_attn.k_layernorm", "attn_k_norm"},
    {"feed_forward.w3", "ffn_up"},         {"feed_forward.w2", "ffn_down"},
};
struct DeltaName {
  std::string_view hf, gguf;
  ByValueHead by_value_head = ByValueHead::kNothing;
};
// With their endings, of which some have none.
constexpr DeltaName kDeltaNames[] = {
    {"post_attention_layernorm.weight", "post_attention_norm.weight"},
    {"linear_attn.in_proj_qkv.weight", "attn_qkv.weight", ByValueHead::kLastRows},
    {"linear_attn.in_proj_z.weight", "attn_gate.weight", ByValueHead::kRows},
    {"linear_attn.in_proj_b.weight", "ssm_beta.weight", ByValueHead::kRowEach},
    {"linear_attn.in_proj_a.weight", "ssm_alpha.weight", ByValueHead::kRowEach},
    {"linear_attn.conv1d.weight", "ssm_conv1d.weight", ByValueHead::kLastRows},
    {"linear_attn.dt_bias", "ssm_dt.bias", ByValueHead::kRowEach},
    {"linear_attn.A_log", "ssm_a", ByValueHead::kRowEach},
    {"linear_attn.norm.weight", "ssm_norm.weight"},
    {"linear_attn.out_proj.weight", "ssm_out.weight", ByValueHead::kCols},
};
constexpr NameRow kSandwichNorms[] = {
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
};
// After "mlp.experts.E.".
constexpr NameRow kExpertNames[] = {
    {"gate_proj", "ffn_gate_exps"}, {"up_proj", "ffn_up_exps"}, {"down_proj", "ffn_down_exps"}};

constexpr NameRow kEncoderGlobalNames[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
};
// After "encoder.layer.N.".
constexpr NameRow kEncoderLayerNames[] = {
    {"attention.self.query", "attn_q"},
    {"attention.self.key", "attn_k"},
    {"attention.self.value", "attn_v"},
    {"attention.output.dense", "attn_output"},
    {"attention.output.LayerNorm", "attn_output_norm"},
    {"intermediate.dense", "ffn_up"},
    {"output.dense", "ffn_down"},
    {"output.LayerNorm", "layer_output_norm"},
};
// The head of BERT's first task, which no embedding goes through but a classifier does, and a list
// of 0, 1, 2, ...
constexpr NameRow kClassifierNames[] = {{"pooler.dense", "cls"}, {"classifier", "cls.output"}};
constexpr std::string_view kRankerIgnoredParts[] = {"embeddings.position_ids"};
constexpr std::string_view kEncoderIgnoredParts[] = {"pooler.dense.", "embeddings.position_ids"};

// Models that also see keep their text part under another name.
constexpr NameRow kPrefixes[] = {
    {"language_model.model.", "model."},
    {"model.language_model.", "model."},
    {"language_model.lm_head.", "lm_head."},
    {"bert.", ""},
};
constexpr std::string_view kIgnoredParts[] = {"vision_tower.", "vision_model.",
                                              "multi_modal_projector.", ".rotary_emb.inv_freq",
                                              ".attention.masked_bias", "model.visual."};
// Layers that guess further tokens.
constexpr std::string_view kFurtherPrefix = "mtp.";

std::string_view find_name(std::span<const NameRow> rows, std::string_view hf) {
  const auto row = std::ranges::find(rows, hf, &NameRow::hf);
  return row == rows.end() ? std::string_view() : row->gguf;
}

std::string canonical(std::string_view name) {
  for (const NameRow& row : kPrefixes) {
    if (name.starts_with(row.hf)) return fmt::format("{}{}", row.gguf, name.substr(row.hf.size()));
  }
  return std::string(name);
}

// Takes "12." off the front.
std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(read.ptr - text.data());
  if (read.ec != std::errc{} || length == text.size() || text[length] != '.') return std::nullopt;
  text.remove_prefix(length + 1);
  return number;
}

// "blk.N.gguf" of what follows "model.layers.".
std::optional<MappedName> map_layer(const HfFamily& family, std::string_view rest) {
  MappedName mapped;
  mapped.layer = take_number(rest);
  if (!mapped.layer) return std::nullopt;
  std::string_view gguf;
  constexpr std::string_view kExperts = "mlp.experts.";
  if (rest.starts_with(kExperts)) {
    rest.remove_prefix(kExperts.size());
    mapped.expert = take_number(rest);
    if (mapped.expert) gguf = find_name(kExpertNames, rest);
  } else if (family.names == HfNames::kLfm2) {
    gguf = find_name(kLfm2Names, rest);
  } else {
    gguf = find_name(kLayerNames, rest);
    if (gguf.empty() && family.sandwich_norms) gguf = find_name(kSandwichNorms, rest);
    if (gguf.empty() && !family.sandwich_norms) gguf = find_name(kPreNorms, rest);
  }
  if (gguf.empty()) return std::nullopt;
  mapped.is_query = gguf == "attn_q";
  mapped.is_key = gguf == "attn_k";
  mapped.name = fmt::format("blk.{}.{}", *mapped.layer, gguf);
  return mapped;
}

// A tensor of a delta net, or of a family that has some, by its whole name.
std::optional<MappedName> map_delta_net(const HfFamily& family, std::string_view name) {
  constexpr std::string_view kLayers = "model.layers.";
  if (family.names != HfNames::kDeltaNets || !name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  MappedName mapped;
  mapped.layer = take_number(name);
  const auto row = std::ranges::find(kDeltaNames, name, &DeltaName::hf);
  if (!mapped.layer || row == std::end(kDeltaNames)) return std::nullopt;
  mapped.name = fmt::format("blk.{}.{}", *mapped.layer, row->gguf);
  mapped.by_value_head = row->by_value_head;
  return mapped;
}

std::optional<MappedName> map_encoder_stem(const HfFamily& family, std::string_view stem) {
  constexpr std::string_view kLayers = "encoder.layer.";
  if (!stem.starts_with(kLayers)) {
    std::string_view gguf = find_name(kEncoderGlobalNames, stem);
    if (gguf.empty() && family.ranks) gguf = find_name(kClassifierNames, stem);
    if (gguf.empty()) return std::nullopt;
    return MappedName{.name = std::string(gguf)};
  }
  stem.remove_prefix(kLayers.size());
  MappedName mapped;
  mapped.layer = take_number(stem);
  const std::string_view gguf = find_name(kEncoderLayerNames, stem);
  if (!mapped.layer || gguf.empty()) return std::nullopt;
  mapped.name = fmt::format("blk.{}.{}", *mapped.layer, gguf);
  return mapped;
}

std::optional<MappedName> map_decoder_stem(const HfFamily& family, std::string_view stem) {
  constexpr std::string_view kLayers = "model.layers.";
  if (stem.starts_with(kLayers)) return map_layer(family, stem.substr(kLayers.size()));
  std::string_view gguf = find_name(kGlobalNames, stem);
  if (family.names == HfNames::kLfm2 && stem == "model.embedding_norm") gguf = "token_embd_norm";
  if (gguf.empty()) return std::nullopt;
  return MappedName{.name = std::string(gguf)};
}

}  // namespace

const HfFamily* find_family(std::string_view name) {
  const auto row = std::ranges::find(kFamilies, name, &HfFamily::name);
  return row == std::end(kFamilies) ? nullptr : row;
}

const HfFamily* find_family_of(std::string_view architecture) {
  const auto row = std::ranges::find(kFamilies, architecture, &HfFamily::architecture);
  return row == std::end(kFamilies) ? nullptr : row;
}

std::string known_families() {
  std::string names;
  for (const HfFamily& row : kFamilies)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  return names;
}

Result<std::optional<MappedName>> map_name(const HfFamily& family, std::string_view name) {
  const auto is_in_name = [name](std::string_view part) { return name.find(part) != name.npos; };
  using Parts = std::span<const std::string_view>;
  const Parts of_encoder = family.ranks ? Parts(kRankerIgnoredParts) : Parts(kEncoderIgnoredParts);
  const Parts ignored = family.is_encoder ? of_encoder : Parts(kIgnoredParts);
  if (std::ranges::any_of(ignored, is_in_name)) return std::optional<MappedName>();
  if (family.names == HfNames::kDeltaNets && name.starts_with(kFurtherPrefix)) {
    return std::optional<MappedName>();
  }
  const std::string whole = canonical(name);
  if (auto mapped = map_delta_net(family, whole)) return mapped;
  const std::size_t dot = std::min(whole.rfind('.'), whole.size());
  const std::string_view suffix = std::string_view(whole).substr(dot);
  const std::string_view stem = std::string_view(whole).substr(0, dot);
  std::optional<MappedName> mapped;
  if (suffix == ".weight" || suffix == ".bias") {
    mapped = family.is_encoder ? map_encoder_stem(family, stem) : map_decoder_stem(family, stem);
  }
  if (!mapped) {
    return fail(
        Code::kUnsupported,
        fmt::format("tensor '{}' is not part of a {} as this build knows it, and without it "
                    "the answers would be wrong: convert the model with llama.cpp's "
                    "convert_hf_to_gguf.py",
                    name.substr(0, 200), family.name));
  }
  mapped->name += suffix;
  return mapped;
}

}  // namespace hearth::convert

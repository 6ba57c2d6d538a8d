#include "api/hearth/recommendation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "api/json_writer.h"

namespace hearth::api::hearth {
namespace {

// When the models were chosen.  Sizes were held in 2026-11 against what those who made the files, or others by the same
// recipe, say of them (both of Gemma and Llama 1B, Qwen3 4B and 14B, gpt-oss), the rest against parameters times bits;
// keys and values are layers x heads x width x 4 bytes of each architecture.
constexpr std::string_view kAsOf = "2025-11";

constexpr auto kKnownModels = std::to_array<KnownModel>({
    {"Qwen3-0.6B-Q8_0", "Qwen/Qwen3-0.6B-GGUF:Q8_0", "Q8_0", 0.6, 0.6, 0.64, 114'688},
    {"gemma-3-1b-it-Q4_K_M", "ggml-org/gemma-3-1b-it-GGUF:Q4_K_M", "Q4_K_M", 1.0, 1.0, 0.81, 26'624},
    {"Llama-3.2-1B-Instruct-Q4_K_M", "bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M", "Q4_K_M", 1.2, 1.2, 0.81, 32'768},
    {"Qwen3-1.7B-Q8_0", "Qwen/Qwen3-1.7B-GGUF:Q8_0", "Q8_0", 1.7, 1.7, 1.83, 114'688},
    {"Llama-3.2-3B-Instruct-Q4_K_M", "bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", "Q4_K_M", 3.2, 3.2, 2.02, 114'688},
    {"gemma-3-4b-it-Q4_K_M", "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "Q4_K_M", 3.9, 3.9, 2.49, 139'264},
    {"Qwen3-4B-Q4_K_M", "Qwen/Qwen3-4B-GGUF:Q4_K_M", "Q4_K_M", 4.0, 4.0, 2.50, 147'456},
    {"Qwen3-8B-Q4_K_M", "Qwen/Qwen3-8B-GGUF:Q4_K_M", "Q4_K_M", 8.2, 8.2, 5.03, 147'456},
    {"gpt-oss-20b-mxfp4", "ggml-org/gpt-oss-20b-GGUF:mxfp4", "MXFP4", 20.9, 3.6, 12.1, 49'152},
    {"Qwen3-14B-Q4_K_M", "Qwen/Qwen3-14B-GGUF:Q4_K_M", "Q4_K_M", 14.8, 14.8, 9.00, 163'840},
    {"Qwen3-30B-A3B-Q4_K_M", "Qwen/Qwen3-30B-A3B-GGUF:Q4_K_M", "Q4_K_M", 30.5, 3.3, 18.6, 98'304},
    {"Qwen3-32B-Q4_K_M", "Qwen/Qwen3-32B-GGUF:Q4_K_M", "Q4_K_M", 32.8, 32.8, 19.8, 262'144},
});

// Of the roofs this engine reaches so much, measured with models of 0.4 and 1.5 B on two cores (README.md).
constexpr double kDecodeShare8Bit = 0.90;  // Of the reading roof; 8-bit weights.
constexpr double kDecodeShare = 0.75;      // The same, narrower ones.
constexpr double kPromptShare = 0.40;      // Of the 8-bit roof.
constexpr double kRoomBytes = 512e6;       // For activations, tokenizer and the program.
constexpr double kUsableShare = 0.85;      // Of all memory: the rest is other programs'.
// As fast as people read: what is slower is no recommendation.
constexpr double kReadableTokensPerS = 8;

constexpr std::string_view kHow =
    "An estimate: a token is written once the weights that it needs were read, at 75 to 90 % of the measured speed of "
    "memory; prompts take 40 % of the measured 8-bit arithmetic. Long contexts and other programs make it slower.";

constexpr std::array<const char*, 3> kFitsNames = {"now", "if_freed", "no"};

void write_roofs(JsonWriter& json, const std::optional<device::KeptRoofs>& kept) {
  json.key("roofs");
  if (!kept) {
    json.null();
    return;
  }
  const device::Roofs& roofs = kept->roofs;
  json.begin_object().key("cpu").value(kept->cpu).key("at_unix_s").value(kept->at_unix_s);
  json.key("n_threads").value(roofs.n_threads).key("read_gb_s").value(roofs.read_gb_s);
  json.key("stream_gb_s").value(roofs.stream_gb_s).key("int8_gop_s").value(roofs.int8_gop_s);
  json.key("f32_gop_s").value(roofs.f32_gop_s).key("f64_gop_s").value(roofs.f64_gop_s).end_object();
}

void write_speed(JsonWriter& json, const char* name, double tokens_per_s) {
  json.key(name);
  if (tokens_per_s > 0) {
    json.value(tokens_per_s);
  } else {
    json.null();
  }
}

void write_model(JsonWriter& json, const KnownModel& model, const Estimate& e, bool is_here, bool is_best) {
  json.begin_object().key("name").value(model.name).key("pull").value(model.pull).key("type").value(model.type);
  json.key("params").value(std::llround(model.params * 1e9));
  json.key("active_params").value(std::llround(model.active_params * 1e9));
  json.key("bytes").value(std::llround(model.gigabytes * 1e9)).key("needs_bytes").value(e.needs_bytes);
  json.key("fits").value(kFitsNames[static_cast<std::size_t>(e.fits)]);
  write_speed(json, "decode_tokens_per_s", e.decode_tokens_per_s);
  write_speed(json, "prompt_tokens_per_s", e.prompt_tokens_per_s);
  json.key("here").value(is_here).key("best").value(is_best).end_object();
}

}  // namespace

std::span<const KnownModel> known_models() { return kKnownModels; }

Estimate estimate(const KnownModel& model, const device::MemoryInfo& memory, const std::optional<device::KeptRoofs>& roofs) {
  Estimate e;
  const double bytes = model.gigabytes * 1e9;
  const double needs = bytes + static_cast<double>(model.kv_bytes_per_token) * kEstimateContext + kRoomBytes;
  e.needs_bytes = static_cast<std::uint64_t>(needs);
  if (needs <= static_cast<double>(memory.available_bytes)) {
    e.fits = Fits::kNow;
  } else if (needs <= kUsableShare * static_cast<double>(memory.total_bytes)) {
    e.fits = Fits::kIfFreed;
  }
  if (!roofs) return e;
  const double read_per_token = bytes * model.active_params / model.params;
  const double share = model.type == "Q8_0" ? kDecodeShare8Bit : kDecodeShare;
  e.decode_tokens_per_s = share * roofs->roofs.read_gb_s * 1e9 / read_per_token;
  e.prompt_tokens_per_s = kPromptShare * roofs->roofs.int8_gop_s / (2 * model.active_params);
  return e;
}

const KnownModel* best_known_model(const device::MemoryInfo& memory, const std::optional<device::KeptRoofs>& roofs) {
  const KnownModel* best = nullptr;
  for (const KnownModel& model : kKnownModels) {
    const Estimate e = estimate(model, memory, roofs);
    if (e.fits != Fits::kNow || e.decode_tokens_per_s < kReadableTokensPerS) continue;
    if (best == nullptr || model.params > best->params) best = &model;
  }
  return best;
}

std::string render_roofs(const std::optional<device::KeptRoofs>& roofs) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_roofs(json, roofs);
  json.end_object();
  return out;
}

std::string render_recommendation(const device::MemoryInfo& memory, const std::optional<device::KeptRoofs>& roofs,
                                  std::span<const hub::ModelEntry> here) {
  const KnownModel* const best = best_known_model(memory, roofs);

  std::string out;
  JsonWriter json(out);
  json.begin_object().key("as_of").value(kAsOf).key("how").value(kHow).key("context_tokens").value(kEstimateContext);
  json.key("memory").begin_object().key("total_bytes").value(memory.total_bytes);
  json.key("available_bytes").value(memory.available_bytes).end_object();
  write_roofs(json, roofs);
  json.key("models").begin_array();
  for (const KnownModel& model : kKnownModels) {
    const bool is_here = std::ranges::find(here, model.name, &hub::ModelEntry::name) != here.end();
    write_model(json, model, estimate(model, memory, roofs), is_here, &model == best);
  }
  json.end_array().end_object();
  return out;
}

}  // namespace hearth::api::hearth

#include "model/random_adapter.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <random>
#include <vector>

#include "model/loaded_model.h"
#include "tensor/quantize.h"

namespace hearth::model {
namespace {

using tensor::DType;

std::optional<DType> type_named(std::string_view name) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    if (tensor::dtype_info(type).name == name) return type;
  }
  return std::nullopt;
}

class Maker {
 public:
  Maker(const RandomAdapterOptions& options, DType type)
      : options_(options), type_(type), random_(options.seed) {}

  // The pair of a matrix [rows, cols].
  void add(const std::string& target, std::uint32_t rows, std::uint32_t cols) {
    if (rows == 0) return;
    put(target + ".lora_a", cols, options_.rank);
    put(target + ".lora_b", options_.rank, rows);
  }
  void add_embedding(std::uint32_t n_vocab, std::uint32_t d_model) {
    put("token_embd.weight.lora_a", options_.rank, n_vocab);
    put("token_embd.weight.lora_b", options_.rank, d_model);
  }

  gguf::GgufWriter writer;

 private:
  // [n_rows, n_cols]
  void put(const std::string& name, std::uint32_t n_cols, std::uint32_t n_rows) {
    const DType type = type_ == DType::kQ8_0 && n_cols % 32 != 0 ? DType::kF16 : type_;
    const std::uint64_t dims[] = {n_cols, n_rows};
    writer.add_tensor(name, type, dims,
                      [seed = random_(), spread = options_.spread, type](std::span<std::byte> out) {
                        fill(seed, spread, type, out);
                      });
  }

  static void fill(std::uint64_t seed, float spread, DType type, std::span<std::byte> out) {
    std::mt19937_64 random(seed);
    const tensor::DTypeInfo& info = tensor::dtype_info(type);
    std::array<float, 32> block;
    for (; !out.empty(); out = out.subspan(info.block_bytes)) {
      for (std::uint32_t i = 0; i < info.block_elements; ++i) {
        const auto unit = static_cast<double>(random()) * 0x1p-63 - 1.0;
        block[i] = static_cast<float>(unit) * spread * 1.7320508F;
      }
      tensor::quantize(type, block.data(), nullptr, info.block_elements, out.data());
    }
  }

  const RandomAdapterOptions& options_;
  const DType type_;
  std::mt19937_64 random_;
};

void add_layer(Maker& maker, const LoadedModel& base, std::uint32_t index, bool attention_only) {
  const LayerWeights& w = base.weights().layers[index];
  const auto name = [&](std::string_view rest) { return fmt::format("blk.{}.{}", index, rest); };
  if (base.architecture().is_fused) {
    maker.add(name("attn_qkv.weight"), w.q.rows + w.k.rows + w.v.rows, w.q.cols);
  } else {
    maker.add(name("attn_q.weight"), w.q.rows, w.q.cols);
    maker.add(name("attn_k.weight"), w.k.rows, w.k.cols);
    maker.add(name("attn_v.weight"), w.v.rows, w.v.cols);
  }
  maker.add(name("attn_output.weight"), w.attn_out.rows, w.attn_out.cols);
  if (attention_only) return;
  maker.add(name("ffn_gate_inp.weight"), w.experts.router.rows, w.experts.router.cols);
  if (base.architecture().is_fused) {
    maker.add(name("ffn_up.weight"), w.gate.rows + w.up.rows, w.gate.cols);
  } else {
    maker.add(name("ffn_gate.weight"), w.gate.rows, w.gate.cols);
    maker.add(name("ffn_up.weight"), w.up.rows, w.up.cols);
  }
  maker.add(name("ffn_down.weight"), w.down.rows, w.down.cols);
}

}  // namespace

Result<gguf::GgufWriter> random_adapter(const Model& base, const RandomAdapterOptions& options) {
  const auto type = type_named(options.type);
  if (!type) {
    return fail(Code::kInvalidArgument,
                fmt::format("adapters are made as F32, F16, BF16 or Q8_0, not as '{}'",
                            options.type));
  }
  const ModelConfig& c = base.config();
  Maker maker(options, *type);
  maker.writer.set_string("general.type", "adapter");
  maker.writer.set_string("general.architecture", c.architecture);
  maker.writer.set_string("general.name", options.name);
  maker.writer.set_string("adapter.type", "lora");
  maker.writer.set_f32("adapter.lora.alpha", options.alpha);
  if (!options.invocation_tokens.empty()) {
    maker.writer.set_i32s("adapter.alora.invocation_tokens", options.invocation_tokens);
  }
  if (options.embedding) maker.add_embedding(c.n_vocab, c.d_model);
  if (options.output) maker.add("output.weight", c.n_vocab, c.d_model);
  for (std::uint32_t i = 0; i < c.n_layers; ++i) add_layer(maker, loaded(base), i, options.attention_only);
  return std::move(maker.writer);
}

Result<> write_random_adapter(const std::filesystem::path& path, const Model& base,
                              const RandomAdapterOptions& options) {
  HEARTH_TRY(const gguf::GgufWriter writer, random_adapter(base, options));
  return writer.write(path);
}

}  // namespace hearth::model

#include "model/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/large_memory.h"
#include "model/loaded_model.h"
#include "model/memory.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

using tensor::DType;
using tensor::F16;
using tensor::MatView;
using tensor::PanelStream;
using tensor::StreamType;

// One of the base's matrices; several lie one after another in a fused tensor.
struct Part {
  AdapterSlot slot;
  std::uint32_t layer = 0;
  std::uint32_t rows = 0;
};

struct Target {
  std::vector<Part> parts;
  std::uint32_t rows = 0, cols = 0;  // Of the tensor in the base.
  StreamType type = StreamType::kF16;
};

// What a file holds for a target; taken in the order in which the forward pass needs them.
struct Bound {
  const AdapterMatrix* matrix;
  Target target;
};

// Working memory of loading.
struct Floats {
  std::vector<float> a, b;
};

struct LayerName {
  std::string_view suffix;  // After "blk.N.".
  AdapterSlot slot;
  MatView LayerWeights::* matrix;
};
constexpr LayerName kLayerNames[] = {
    {"attn_q.weight", AdapterSlot::kQuery, &LayerWeights::q},
    {"attn_k.weight", AdapterSlot::kKey, &LayerWeights::k},
    {"attn_v.weight", AdapterSlot::kValue, &LayerWeights::v},
    {"attn_output.weight", AdapterSlot::kAttentionOut, &LayerWeights::attn_out},
    {"ffn_gate.weight", AdapterSlot::kGate, &LayerWeights::gate},
    {"ffn_up.weight", AdapterSlot::kUp, &LayerWeights::up},
    {"ffn_down.weight", AdapterSlot::kDown, &LayerWeights::down},
};
constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};

class LoadedAdapter final : public Adapter {
 public:
  static Result<std::shared_ptr<const Adapter>> create(const AdapterSource& source,
                                                       const Model& base, AdapterForm form);

 private:
  Result<> check_base(const AdapterSource& source, const Model& base) const;
  Result<> reserve(const AdapterSource& source);
  Result<> take(const AdapterSource& source, const AdapterMatrix& m, const Target& target,
                Floats& work);
  PanelStream put(std::span<const float> w, std::uint32_t cols, StreamType type);
  LowRank& slot(const Part& part);
  std::byte* next(std::size_t bytes);
  void seal();

  LargeMemory memory_;
  std::size_t used_bytes_ = 0;
};

std::unexpected<Error> refuse(const AdapterSource& source, Code code, std::string_view what) {
  return fail(code, fmt::format("adapter '{}': {}", source.file, what));
}

// The layer and the rest of "blk.N.REST".
struct LayerTarget {
  std::uint32_t layer = 0;
  std::string_view rest;
};
std::optional<LayerTarget> split_layer(std::string_view target) {
  constexpr std::string_view kPrefix = "blk.";
  if (!target.starts_with(kPrefix)) return std::nullopt;
  target.remove_prefix(kPrefix.size());
  LayerTarget found;
  std::size_t n_digits = 0;
  for (; n_digits < target.size() && n_digits < 6; ++n_digits) {
    const char c = target[n_digits];
    if (c < '0' || c > '9') break;
    found.layer = found.layer * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (n_digits == 0 || n_digits == target.size() || target[n_digits] != '.') return std::nullopt;
  found.rest = target.substr(n_digits + 1);
  return found;
}

StreamType form_of(const MatView& w) {
  return tensor::dtype_info(w.type).block_elements > 1 ? StreamType::kInt8 : StreamType::kF16;
}

Target one(AdapterSlot slot, std::uint32_t layer, const MatView& w) {
  return {{{slot, layer, w.rows}}, w.rows, w.cols, form_of(w)};
}

// What `rest` names in a layer; no parts if nothing that the base has as a matrix.
Target layer_target(const LoadedModel& base, std::uint32_t index, std::string_view rest) {
  const LayerWeights& layer = base.weights().layers[index];
  if (base.architecture().is_fused && rest == "attn_qkv.weight") {
    return {{{AdapterSlot::kQuery, index, layer.q.rows},
             {AdapterSlot::kKey, index, layer.k.rows},
             {AdapterSlot::kValue, index, layer.v.rows}},
            layer.q.rows + layer.k.rows + layer.v.rows,
            layer.q.cols,
            form_of(layer.q)};
  }
  if (base.architecture().is_fused && rest == "ffn_up.weight") {
    return {{{AdapterSlot::kGate, index, layer.gate.rows}, {AdapterSlot::kUp, index, layer.up.rows}},
            layer.gate.rows + layer.up.rows,
            layer.gate.cols,
            form_of(layer.gate)};
  }
  if (rest == "ffn_gate_inp.weight" && layer.experts.router.data != nullptr) {
    return one(AdapterSlot::kRouter, index, layer.experts.router);
  }
  for (const LayerName& name : kLayerNames) {
    const MatView& w = layer.*name.matrix;
    if (name.suffix == rest && w.data != nullptr) return one(name.slot, index, w);
  }
  return {};
}

Result<Target> find_target(const AdapterSource& source, const LoadedModel& base,
                           std::string_view name) {
  const Weights& weights = base.weights();
  if (name == "token_embd.weight") return one(AdapterSlot::kEmbedding, 0, weights.embedding);
  if (name == "output.weight") return one(AdapterSlot::kOutput, 0, weights.output);
  if (name.ends_with("_exps.weight")) {
    return refuse(source, Code::kUnsupported,
                  fmt::format("it changes the experts ('{}'), which can't be adapted yet: use an "
                              "adapter of the attention alone, or merge it into its model",
                              name));
  }
  const auto in_layer = split_layer(name);
  if (in_layer && in_layer->layer < base.config().n_layers) {
    Target target = layer_target(base, in_layer->layer, in_layer->rest);
    if (!target.parts.empty()) return target;
  }
  return refuse(source, Code::kInvalidArgument,
                fmt::format("it changes '{}', which is no matrix of the model '{}': the adapter "
                            "was made for another model",
                            name, base.config().name));
}

// Of the embedding, the token chooses a row of `a`: it lies transposed.
Result<> check_shapes(const AdapterSource& source, const AdapterMatrix& m, const Target& target,
                      const Model& base) {
  const bool is_embedding = target.parts.front().slot == AdapterSlot::kEmbedding;
  const std::uint32_t rank = m.b.cols;
  const bool fits = is_embedding
                        ? m.a.rows == target.rows && m.a.cols == rank && m.b.rows == target.cols
                        : m.a.rows == rank && m.a.cols == target.cols && m.b.rows == target.rows;
  if (!fits) {
    return refuse(source, Code::kInvalidArgument,
                  fmt::format("its matrices for '{}' are [{}, {}] and [{}, {}], that of the model "
                              "'{}' is [{}, {}]: the adapter was made for another model",
                              m.target, m.b.rows, m.b.cols, m.a.rows, m.a.cols, base.config().name,
                              target.rows, target.cols));
  }
  if (rank < 1 || rank > kAdapterRankMax) {
    return refuse(source, Code::kUnsupported,
                  fmt::format("its rank for '{}' is {}, 1 to {} can be run", m.target, rank,
                              kAdapterRankMax));
  }
  if (!std::isfinite(m.scale)) {
    return refuse(source, Code::kCorrupt,
                  fmt::format("the strength of its matrices for '{}' is no number", m.target));
  }
  for (const MatView& w : {m.a, m.b}) {
    if (std::ranges::find(kTypes, w.type) != std::end(kTypes)) continue;
    return refuse(source, Code::kUnsupported,
                  fmt::format("its matrices for '{}' are of the type {}, F32, F16, BF16 and Q8_0 "
                              "can be run: convert the adapter again",
                              m.target, tensor::dtype_info(w.type).name));
  }
  return {};
}

// All of w as floats; kCorrupt if one is no number.
Result<> widen(const AdapterSource& source, const AdapterMatrix& m, const MatView& w,
               std::vector<float>& out) {
  out.resize(std::size_t{w.rows} * w.cols);
  for (std::uint32_t row = 0; row < w.rows; ++row) {
    tensor::dequantize_row(w, row, out.data() + std::size_t{row} * w.cols);
  }
  if (std::ranges::all_of(out, [](float v) { return std::isfinite(v); })) return {};
  return refuse(source, Code::kCorrupt,
                fmt::format("its matrices for '{}' hold values that are no numbers", m.target));
}

// Scales `values` so that the largest lies in [2^14, 2^15); returns by what they are to be multiplied
// to be what they were.
float fill_range(std::span<float> values) {
  float largest = 0;
  for (const float v : values) largest = std::max(largest, std::abs(v));
  if (largest == 0) return 1.0F;
  int exponent = 0;
  (void)std::frexp(largest, &exponent);
  const int shift = std::min(15 - exponent, 120);
  for (float& v : values) v = std::ldexp(v, shift);
  return std::ldexp(1.0F, -shift);
}

Result<> LoadedAdapter::check_base(const AdapterSource& source, const Model& base) const {
  const ModelConfig& c = base.config();
  if (!source.architecture.empty() && source.architecture != c.architecture) {
    return refuse(source, Code::kInvalidArgument,
                  fmt::format("it was made for a model of the architecture '{}', and '{}' is a "
                              "'{}': name its own base",
                              source.architecture, c.name, c.architecture));
  }
  for (const text::TokenId id : source.invocation_tokens) {
    if (id >= 0 && static_cast<std::uint32_t>(id) < c.n_vocab) continue;
    return refuse(source, Code::kCorrupt,
                  fmt::format("its invocation token {} is not one of the model's {}", id,
                              c.n_vocab));
  }
  return {};
}

LowRank& LoadedAdapter::slot(const Part& part) {
  if (part.slot == AdapterSlot::kOutput) return output_;
  if (part.slot == AdapterSlot::kEmbedding) return embedding_;
  return layers_[part.layer][static_cast<std::size_t>(part.slot)];
}

constexpr std::size_t kAlignment = 64;
std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::byte* LoadedAdapter::next(std::size_t bytes) {
  std::byte* const at = memory_.data() + used_bytes_;
  used_bytes_ += aligned(bytes);
  HEARTH_CHECK(used_bytes_ <= memory_.size());
  return at;
}

// Up to so many, a scale beside each group costs more than 8 bits save.
constexpr std::uint32_t kHalfColsMax = 2;

// What a pair takes at most: in half precision.
std::size_t bytes_of(const AdapterMatrix& m) {
  constexpr std::size_t kPartsMax = 3;
  const auto half = [](std::size_t rows, std::size_t cols) {
    const auto padded = static_cast<std::uint32_t>(rows + kPartsMax * tensor::kStreamPanelRows);
    return aligned(stream_bytes(StreamType::kF16, padded, static_cast<std::uint32_t>(cols)));
  };
  return half(m.a.rows, m.a.cols) + half(m.b.rows, m.b.cols) + 2 * kPartsMax * kAlignment;
}

// All of it at once, in large pages where that pays; what was too much is given back at the end.
Result<> LoadedAdapter::reserve(const AdapterSource& source) {
  if (source.matrices.empty()) return refuse(source, Code::kCorrupt, "it holds no matrices");
  std::size_t bytes = 0;
  for (const AdapterMatrix& m : source.matrices) bytes += bytes_of(m);
  HEARTH_TRY_VOID(check_memory(source.file, bytes, 0));
  memory_ = LargeMemory(bytes);
  if (!memory_) {
    return refuse(source, Code::kOutOfBudget,
                  fmt::format("no memory for its {} MiB: unload other adapters", bytes >> 20));
  }
  return {};
}

// Unmaps what no matrix lies in, and lets nobody write to the rest.
void LoadedAdapter::seal() {
  memory_.keep(used_bytes_);
  bytes_ = used_bytes_;
  memory_.seal();
}

PanelStream LoadedAdapter::put(std::span<const float> w, std::uint32_t cols, StreamType type) {
  if (cols <= kHalfColsMax) type = StreamType::kF16;
  const auto rows = static_cast<std::uint32_t>(w.size() / cols);
  std::byte* const at = next(stream_bytes(type, rows, cols));
  write_stream(type, w.data(), rows, cols, at);
  return {type, rows, cols, at};
}

Result<> LoadedAdapter::take(const AdapterSource& source, const AdapterMatrix& m,
                             const Target& target, Floats& work) {
  HEARTH_TRY_VOID(widen(source, m, m.a, work.a));
  HEARTH_TRY_VOID(widen(source, m, m.b, work.b));
  const std::uint32_t rank = m.b.cols;
  rank_max_ = std::max(rank_max_, rank);
  LowRank shared{.rank = rank, .scale = m.scale * fill_range(work.a) * fill_range(work.b)};
  const bool is_embedding = target.parts.front().slot == AdapterSlot::kEmbedding;
  if (is_embedding) {
    auto* const rows = reinterpret_cast<F16*>(next(work.a.size() * sizeof(F16)));
    tensor::f16_from_f32(work.a.data(), work.a.size(), rows);
    shared.picked = rows;
  } else {
    shared.a = put(work.a, target.cols, target.type);
  }
  std::span<const float> rest = work.b;
  for (const Part& part : target.parts) {
    LowRank& pair = slot(part);
    if (pair.rank != 0) {
      return refuse(source, Code::kCorrupt, fmt::format("it changes '{}' twice", m.target));
    }
    const std::size_t n = std::size_t{is_embedding ? target.cols : part.rows} * rank;
    pair = shared;
    pair.b = put(rest.first(n), rank, target.type);
    rest = rest.subspan(n);
  }
  return {};
}

Result<std::shared_ptr<const Adapter>> LoadedAdapter::create(const AdapterSource& source,
                                                             const Model& base, AdapterForm form) {
  const auto adapter = std::make_shared<LoadedAdapter>();
  HEARTH_TRY_VOID(adapter->check_base(source, base));
  adapter->name_ = source.name;
  adapter->identity_ = source.identity;
  adapter->invocation_tokens_ = source.invocation_tokens;
  adapter->base_ = base.config();
  adapter->layers_.resize(base.config().n_layers);
  HEARTH_TRY_VOID(adapter->reserve(source));
  std::vector<Bound> all;
  for (const AdapterMatrix& m : source.matrices) {
    HEARTH_TRY(Target target, find_target(source, loaded(base), m.target));
    HEARTH_TRY_VOID(check_shapes(source, m, target, base));
    if (form == AdapterForm::kHalf) target.type = StreamType::kF16;
    if (form == AdapterForm::kEightBit) target.type = StreamType::kInt8;
    all.push_back({&m, std::move(target)});
  }
  std::ranges::stable_sort(all, {}, [](const Bound& bound) {
    const Part& part = bound.target.parts.front();
    return std::pair(part.layer, part.slot);
  });
  Floats work;
  for (const Bound& bound : all) {
    HEARTH_TRY_VOID(adapter->take(source, *bound.matrix, bound.target, work));
  }
  adapter->seal();
  return adapter;
}

}  // namespace

Result<std::shared_ptr<const Adapter>> Adapter::bind(const AdapterSource& source, const Model& base,
                                                     AdapterForm form) {
  return LoadedAdapter::create(source, base, form);
}

Result<std::shared_ptr<const Adapter>> Adapter::load(const std::filesystem::path& path,
                                                     const Model& base, AdapterForm form) {
  HEARTH_TRY(const gguf::GgufFile file, gguf::GgufFile::open(path));
  HEARTH_TRY(const AdapterSource source, read_adapter(file));
  return bind(source, base, form);
}

bool Adapter::fits(const Model& base) const {
  const ModelConfig& c = base.config();
  return c.architecture == base_.architecture && c.n_layers == base_.n_layers &&
         c.d_model == base_.d_model && c.d_query() == base_.d_query() &&
         c.d_key_value() == base_.d_key_value() && c.d_ff == base_.d_ff &&
         c.n_experts == base_.n_experts && c.n_vocab == base_.n_vocab;
}

std::uint32_t first_adapted_position(const Adapter& adapter,
                                     std::span<const text::TokenId> prompt) {
  const std::span<const text::TokenId> tokens = adapter.invocation_tokens();
  if (tokens.empty()) return 0;
  const auto found = std::ranges::find_end(prompt, tokens);
  return found.empty() ? kNeverAdapted : static_cast<std::uint32_t>(found.begin() - prompt.begin());
}

}  // namespace hearth::model

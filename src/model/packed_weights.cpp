#include "model/packed_weights.h"

#include <fmt/format.h>

#include "model/config.h"
#include "model/encoder.h"
#include "model/encoder_weights.h"
#include "tensor/pack.h"

namespace hearth::model {
namespace {

using tensor::MatView;

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Whether all experts' parts of a tensor are whole panels.
bool can_pack_experts(const MatView& w, std::uint32_t n_experts) {
  return n_experts > 0 && w.rows % n_experts == 0 &&
         tensor::can_pack({w.type, w.rows / n_experts, w.cols, w.data, w.layout});
}

// Every matrix that can be packed, but for the second name of a tied embedding.
std::vector<MatView*> slots_of(Weights& weights) {
  std::vector<MatView*> slots{&weights.embedding};
  if (weights.output.data != weights.embedding.data) slots.push_back(&weights.output);
  for (LayerWeights& layer : weights.layers) {
    for (MatView* slot :
         {&layer.conv_in, &layer.mamba.gate, &layer.mamba.mixed, &layer.mamba.rates, &layer.delta.qkv, &layer.delta.gate, &layer.delta.beta,
          &layer.delta.alpha, &layer.q, &layer.k, &layer.v, &layer.attn_out, &layer.gate,
          &layer.up, &layer.down, &layer.inputs_gate, &layer.inputs_out}) {
      slots.push_back(slot);
    }
    ExpertWeights& experts = layer.experts;
    const std::uint32_t n = experts.router.rows;
    if (can_pack_experts(experts.gate, experts.up.data == nullptr ? 2 * n : n)) {
      slots.push_back(&experts.gate);
    }
    for (MatView* slot : {&experts.up, &experts.down}) {
      if (can_pack_experts(*slot, n)) slots.push_back(slot);
    }
  }
  std::erase_if(slots,
                [](const MatView* w) { return w->data == nullptr || !tensor::can_pack(*w); });
  return slots;
}

bool is_within(const MatView& w, std::span<const std::byte> data) {
  return w.data >= data.data() && w.data < data.data() + data.size();
}

}  // namespace

Result<std::vector<tensor::WeightLayout>> store_layouts(const gguf::GgufFile& file) {
  std::vector<tensor::WeightLayout> layouts(file.tensors().size(), tensor::WeightLayout::kRows);
  HEARTH_TRY(const std::string_view name, file.get_string("general.architecture"));
  if (is_encoder_architecture(name)) {
    HEARTH_TRY(EncoderConfig config, read_encoder_config(file));
    HEARTH_TRY([[maybe_unused]] const EncoderWeights bound, bind_encoder_weights(file, config));
    return layouts;
  }
  HEARTH_TRY(const Architecture* const architecture, architecture_of(file));
  HEARTH_TRY(ModelConfig config, read_config(file, *architecture));
  HEARTH_TRY(Weights weights, bind_weights(file, *architecture, config));
  const std::vector<MatView*> slots = slots_of(weights);
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    // A fused tensor is several matrices: all of them, or none.
    const auto data = file.tensors()[i].data;
    std::size_t packable = 0;
    for (const MatView* slot : slots) packable += is_within(*slot, data) ? slot->bytes() : 0;
    if (packable == data.size()) layouts[i] = tensor::WeightLayout::kPacked;
  }
  return layouts;
}

Result<> PackedWeights::take(Weights& weights, ThreadPool& pool) {
  HEARTH_CHECK(!memory_);
  const std::vector<MatView*> slots = slots_of(weights);
  std::size_t bytes = 0;
  for (const MatView* w : slots) bytes += aligned(w->bytes());
  if (bytes == 0) return {};
  memory_ = LargeMemory(bytes);
  if (!memory_) {
    return fail(Code::kOutOfBudget,
                fmt::format("no memory for {} MiB of packed weights: set [models] pack = false",
                            bytes >> 20));
  }

  const bool is_tied = weights.output.data == weights.embedding.data;
  std::byte* next = memory_.data();
  for (MatView* w : slots) {
    const MatView packed = tensor::pack(*w, next, pool);
    next += aligned(w->bytes());
    *w = packed;
  }
  if (is_tied) weights.output = weights.embedding;
  memory_.seal();
  return {};
}

}  // namespace hearth::model

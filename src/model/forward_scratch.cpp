#include "model/forward_scratch.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/loaded_model.h"

namespace hearth::model {

bool FloatBuffer::reserve(std::size_t n) {
  if (n <= capacity_) return true;
  void* const memory =
      ::operator new(n * sizeof(float), std::align_val_t{kAlignment}, std::nothrow);
  if (memory == nullptr) return false;
  data_.reset(static_cast<float*>(memory));
  capacity_ = n;
  std::fill_n(data_.get(), n, 0.0F);  // Touches the pages now rather than in the first pass.
  return true;
}

namespace {

bool reserve_experts(ForwardScratch::State& s, const ModelConfig& c, std::uint32_t n_tokens) {
  if (c.n_experts == 0) return true;
  const std::size_t n = n_tokens;
  s.visits.reserve(n * c.n_experts_used);
  s.choices.reserve(c.n_experts);
  return s.routes.reserve(n * c.n_experts) && s.mixed.reserve(n * c.d_model) &&
         s.shared.reserve(n * c.d_model) &&
         s.gathered.reserve(std::size_t{n_visits_at_once(c, n_tokens)} * c.d_model);
}

// Of the rows that attention or what stands for it makes.
std::vector<std::uint32_t> attended_widths(const Model& model) {
  std::vector<std::uint32_t> widths;
  for (const LayerWeights& layer : loaded(model).weights().layers) {
    if (layer.attn_out.cols > 0) widths.push_back(layer.attn_out.cols);
  }
  std::ranges::sort(widths);
  widths.erase(std::ranges::unique(widths).begin(), widths.end());
  return widths;
}

// Of the longest row of the feed-forward block that every token takes.
std::uint32_t block_width(const ModelConfig& c) {
  return std::ranges::max(c.layers, {}, &LayerPlan::d_ff).d_ff;
}

bool reserve_inputs(ForwardScratch::State& s, const ModelConfig& c, std::size_t n) {
  const std::size_t width = std::size_t{c.n_layers} * c.d_per_layer;
  return s.inputs.reserve(n * width) && s.inputs_table.reserve(n * width) &&
         s.inputs_gate.reserve(n * c.d_per_layer);
}

bool reserve_recurrent(ForwardScratch::State& s, const ModelConfig& c, std::size_t n) {
  if (c.gates_attention && !s.query_gate.reserve(n * 2 * c.d_query())) return false;
  if (c.delta.state_size > 0) {
    return s.recurrent_in.reserve(n * c.delta.channels()) &&
           s.recurrent_gate.reserve(n * c.delta.value_width()) &&
           s.recurrent_rates.reserve(n * 2 * c.delta.n_value_heads);
  }
  if (c.mamba.state_size == 0) return true;
  return s.recurrent_in.reserve(n * c.mamba.channels()) &&
         s.recurrent_gate.reserve(n * c.mamba.d_inner) &&
         s.recurrent_rates.reserve(n * c.mamba.n_heads);
}

// Those of the model's types that can have rows of `width` weights: 300 columns that are kept in F16
// say nothing against Q8_0 elsewhere.
std::vector<tensor::DType> types_of_width(const Model& model, std::uint32_t width) {
  std::vector<tensor::DType> types;
  for (const tensor::DType type : loaded(model).weight_types()) {
    if (width % tensor::dtype_info(type).block_elements == 0) types.push_back(type);
  }
  return types;
}

bool reserve_adapters(ForwardScratch::State& s, std::size_t n) {
  s.adapted_rows.reserve(n * kAdaptersPerSegment);
  s.adapted_groups.reserve(n * kAdaptersPerSegment);
  s.adapted_round_ends.reserve(kAdaptersPerSegment);
  return s.inner.reserve(std::size_t{kAdaptedSplitTasks} * kAdaptedGroupRows * kAdapterRankMax);
}

// Lets the activations take their memory, for the widest rows and all types of weights.  Once per
// model and size: it costs as much as a step, and two models that take turns come here each time.
void rehearse(ForwardScratch::State& s, const Model& model, std::uint32_t n_tokens) {
  if (n_tokens > s.n_tokens_max || s.rehearsed.size() >= kRehearsedMax) s.rehearsed.clear();
  s.n_tokens_max = n_tokens;
  if (std::ranges::find(s.rehearsed, model.identity()) != s.rehearsed.end()) return;
  s.rehearsed.push_back(model.identity());
  const ModelConfig& c = model.config();
  ThreadPool alone(1);
  const std::uint32_t n_visits = n_visits_at_once(c, n_tokens);
  const auto assign = [&](const FloatBuffer& rows, std::uint32_t width, std::uint32_t n_rows) {
    if (n_rows == 0 || width == 0) return;
    s.activations.assign(rows.data(), width, n_rows, width, types_of_width(model, width), alone);
  };
  assign(s.x, c.d_model, n_tokens);
  for (const std::uint32_t width : attended_widths(model)) assign(s.attended, width, n_tokens);
  for (const LayerPlan& plan : c.layers) {
    if (&plan == &c.layers.front() || plan.d_ff != (&plan)[-1].d_ff) {
      assign(s.gate, plan.d_ff, n_tokens);
    }
  }
  assign(s.inputs_gate, c.d_per_layer, n_tokens);
  assign(s.gate, c.d_ff_expert, n_visits);
  assign(s.gathered, c.d_model, n_visits);
}

}  // namespace

ForwardScratch::ForwardScratch() : state_(std::make_unique<State>()) {}
ForwardScratch::~ForwardScratch() = default;

Result<> ForwardScratch::reserve(const Model& model, std::uint32_t n_tokens_max) {
  State& s = *state_;
  const ModelConfig& c = model.config();
  const std::uint32_t n_tokens = std::max(n_tokens_max, s.n_tokens_max);
  const std::size_t n = n_tokens;
  const std::size_t n_gated = std::max(
      n * block_width(c), std::size_t{n_visits_at_once(c, n_tokens)} * c.d_ff_expert);
  const bool fits = s.x.reserve(n * c.d_model) && s.normed.reserve(n * c.d_model) &&
                    s.q.reserve(n * c.d_query()) && s.k.reserve(n * c.d_key_value()) &&
                    s.v.reserve(n * c.d_key_value()) && s.attended.reserve(n * attended_widths(model).back()) &&
                    reserve_recurrent(s, c, n) && reserve_inputs(s, c, n) &&
                    s.gate.reserve(n_gated) && s.up.reserve(n_gated) &&
                    s.angles.reserve(n * c.rope_width() * loaded(model).ropes().size()) &&
                    (c.conv_width == 0 || s.conv.reserve(n * 3 * c.d_model)) &&
                    reserve_experts(s, c, n_tokens) && reserve_adapters(s, n);
  if (!fits) {
    return fail(Code::kOutOfBudget,
                fmt::format("no memory for the forward pass of '{}' with batches of {} tokens: use "
                            "a smaller prefill chunk",
                            c.name, n_tokens));
  }
  s.places.resize(n);
  s.tiles.resize(n);
  rehearse(s, model, n_tokens);
  return {};
}

}  // namespace hearth::model

// The feed-forward block that every token takes: gate, activation, up and down, alone or beside a
// mixture of experts (forward_experts.cpp).
#include <algorithm>

#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

using GatedActivation = void (*)(const float*, const float*, std::size_t, float*);

GatedActivation gated_activation(Activation activation) {
  switch (activation) {
    case Activation::kSiluMul:
      return tensor::silu_mul;
    case Activation::kGeluMul:
      return tensor::gelu_mul;
    case Activation::kClampedSwiglu:
      return tensor::clamped_swiglu;
    case Activation::kSquaredRelu:
      return [](const float*, const float* up, std::size_t n, float* out) {
        std::transform(up, up + n, out, [](float x) { return x > 0 ? x * x : 0.0F; });
      };
  }
  return tensor::silu_mul;
}

}  // namespace

void ForwardPass::add_feed_forward(const LayerWeights& w, const LayerWeights* next) {
  if (w.experts.router.data != nullptr) {
    mix_experts(w);
  } else if (plan_->d_ff > 0) {
    prepare_normed(w.ffn_norm, {w.gate.data == nullptr ? w.up.type : w.gate.type, w.up.type});
    if (next == nullptr) {
      run_block(w, {model_.weights().output}, s_.normed.data());
    } else {
      run_block(w, {next->q, next->k, next->v, next->conv_in, next->delta.qkv, next->mamba.gate},
                s_.normed.data());
    }
  } else {
    return;
  }
  add_to_residual(w.post_ffn_norm);
}

// out [n_rows, d_model] = the block's output for the activations that are prepared, those of
// `normed`.
void ForwardPass::run_block(const LayerWeights& w, std::initializer_list<tensor::MatView> next,
                            float* out) {
  const std::uint32_t d_ff = plan_->d_ff;
  const tensor::Product up = product(w.up, w.up_bias, s_.up.data());
  const Adapted adapted_up{AdapterSlot::kUp, s_.up.data(), d_ff};
  if (w.gate.data == nullptr) {
    multiply({up}, {w.down});
    adapt(s_.normed.data(), config_.d_model, {adapted_up});
  } else {
    multiply({product(w.gate, w.gate_bias, s_.gate.data()), up}, {w.down});
    adapt(s_.normed.data(), config_.d_model,
          {{AdapterSlot::kGate, s_.gate.data(), d_ff}, adapted_up});
  }
  activate(n_rows_, d_ff);
  prepare(s_.gate.data(), d_ff, {w.down.type}, n_rows_);
  multiply({product(w.down, w.down_bias, out)}, next);
  adapt(s_.gate.data(), d_ff, {{AdapterSlot::kDown, out, config_.d_model}});
}

// gate [n_rows, width] = the activation of gate and up.
void ForwardPass::activate(std::uint32_t n_rows, std::uint32_t width) {
  const GatedActivation combine = gated_activation(model_.architecture().activation);
  for_rows(n_rows, [&](std::uint32_t i) {
    float* const gate = s_.gate.data() + std::size_t{i} * width;
    combine(gate, s_.up.data() + std::size_t{i} * width, width, gate);
  });
}

}  // namespace hearth::model

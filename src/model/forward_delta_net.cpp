// Layers of gated delta nets, as Qwen 3.5 has them in place of attention
// (arxiv.org/abs/2412.06464).
//
// A head keeps a matrix S that maps keys to values.  Each token first makes it forget (S *= decay),
// then learns what of the token's value v its key k does not give already, and reads it by the
// query:
//
//   S += beta (v - S k) k^T        out = S q / sqrt(size)
//
// Queries, keys and values come through a causal convolution.  The state of a layer is S
// [n_value_heads][key][value], and the inputs that the convolution looks back to
// (forward_recurrent.cpp).
#include <algorithm>
#include <array>
#include <cmath>

#include "model/config.h"
#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }
float softplus(float x) { return x > 20.0F ? x : std::log1p(std::exp(x)); }

// out [n] = x at length 1.
void unit(const float* x, std::uint32_t n, float eps, float* out) {
  const float scale = 1.0F / std::max(std::sqrt(tensor::dot(x, x, n)), eps);
  for (std::uint32_t i = 0; i < n; ++i) out[i] = x[i] * scale;
}

}  // namespace

// attended = the heads' gated outputs.
void ForwardPass::run_delta_net(const LayerWeights& w) {
  const DeltaNetWeights& net = w.delta;
  const DeltaNetConfig& c = config_.delta;
  const bool has_one = net.alpha.data == nullptr;
  prepare_normed(w.attn_norm, {net.qkv.type, net.gate.type, net.beta.type,
                               has_one ? net.beta.type : net.alpha.type});
  const auto rates = [&](const tensor::MatView& matrix, std::uint32_t first) {
    tensor::Product one = product(matrix, nullptr, s_.recurrent_rates.data() + first);
    one.y_stride = std::size_t{2} * c.n_value_heads;
    return one;
  };
  const tensor::Product qkv = product(net.qkv, nullptr, s_.recurrent_in.data());
  const tensor::Product gate = product(net.gate, nullptr, s_.recurrent_gate.data());
  if (has_one) {
    multiply({qkv, gate, rates(net.beta, 0)}, {w.attn_out});
  } else {
    multiply({qkv, gate, rates(net.beta, 0), rates(net.alpha, c.n_value_heads)}, {w.attn_out});
  }

  mix_channels({net.conv, nullptr, c.channels(), c.conv_width, c.state_floats()});
  pool_.run(static_cast<std::uint32_t>(batch_.size()) * c.n_value_heads, [&](std::uint32_t task) {
    run_delta_head(net, task / c.n_value_heads, task % c.n_value_heads);
  });
}

// One head of one segment, token by token.
void ForwardPass::run_delta_head(const DeltaNetWeights& net, std::uint32_t segment,
                                 std::uint32_t head) {
  const DeltaNetConfig& c = config_.delta;
  const std::uint32_t size = c.state_size;
  // Where heads are grouped, a group's betas come before its alphas.
  const std::uint32_t group = c.n_value_heads / c.n_key_heads;
  const std::uint32_t key_head = c.heads_are_grouped ? head / group : head % c.n_key_heads;
  const std::uint32_t beta_at = c.heads_are_grouped ? key_head * group + head : head;
  const std::uint32_t alpha_at = beta_at + (c.heads_are_grouped ? group : c.n_value_heads);
  float* const matrix =
      recurrent_state(c.state_floats(), segment) + std::size_t{head} * size * size;
  const std::uint32_t first = first_row(segment);
  const float scale = 1.0F / std::sqrt(static_cast<float>(size));
  std::array<float, kHeadDimMax> query, key, learnt, out;
  for (std::uint32_t t = 0; t < batch_[segment].tokens.size(); ++t) {
    const std::size_t row = first + t;
    const float* const mixed = s_.recurrent_in.data() + row * c.channels();
    unit(mixed + std::size_t{key_head} * size, size, config_.norm_eps, query.data());
    unit(mixed + (std::size_t{c.n_key_heads} + key_head) * size, size, config_.norm_eps,
         key.data());
    const float* const value = mixed + (std::size_t{2} * c.n_key_heads + head) * size;
    const float* const rates = s_.recurrent_rates.data() + row * 2 * c.n_value_heads;
    const float alpha = rates[alpha_at] + net.dt_bias[head];
    const float decay = std::exp(net.a[head] * softplus(alpha));
    const float beta = sigmoid(rates[beta_at]);
    // What the key gives of the matrix as it will have been forgotten.
    tensor::sum_rows(matrix, size, size, key.data(), learnt.data());
    for (std::uint32_t v = 0; v < size; ++v) learnt[v] = (value[v] - decay * learnt[v]) * beta;
    tensor::scan_rows(matrix, size, size, decay, key.data(), learnt.data(), query.data(),
                      out.data());
    for (std::uint32_t v = 0; v < size; ++v) out[v] *= scale;
    tensor::rms_norm(out.data(), net.norm, size, config_.norm_eps, out.data());
    const std::size_t at = std::size_t{head} * size;
    tensor::silu_mul(s_.recurrent_gate.data() + row * c.value_width() + at, out.data(), size,
                     attended_row(static_cast<std::uint32_t>(row)) + at);
  }
}

}  // namespace hearth::model

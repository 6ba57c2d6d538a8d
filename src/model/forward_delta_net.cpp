// Layers of gated delta nets, as Qwen 3.5 has them in place of attention
// (arxiv.org/abs/2412.06464).
//
// A head keeps a matrix S that maps keys to values.  Each token first makes it forget (S *= decay),
// then learns what of the token's value v its key k does not give already, and reads it by the
// query:
//
//   S += beta (v - S k) k^T        out = S q / sqrt(size)
//
// Queries, keys and values come through a causal convolution over each channel's last few tokens.
// What a session carries from token to token is therefore of one size, however long the session:
//
//   state [n_delta_layers] { S [n_value_heads][value][key], last inputs [conv_width - 1][channels]
//   }
//
// It is read and written in place, token by token in the order of the session, so that the bits do
// not depend on how a prompt was cut; it can't go back, nor begin in the middle
// (engine/session_pages.h).
#include <algorithm>
#include <array>
#include <cmath>

#include "model/config.h"
#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kChannelsPerTask = 256;

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }
float softplus(float x) { return x > 20.0F ? x : std::log1p(std::exp(x)); }

// out [n] = x at length 1.
void unit(const float* x, std::uint32_t n, float eps, float* out) {
  const float scale = 1.0F / std::max(std::sqrt(tensor::dot(x, x, n)), eps);
  for (std::uint32_t i = 0; i < n; ++i) out[i] = x[i] * scale;
}

}  // namespace

// attended = the heads' gated outputs.
void ForwardPass::run_delta_net(const LayerWeights& w, std::uint32_t layer) {
  const DeltaNetWeights& net = w.delta;
  const DeltaNetConfig& c = config_.delta;
  const bool has_one = net.alpha.data == nullptr;
  prepare_normed(w.attn_norm, {net.qkv.type, net.gate.type, net.beta.type,
                               has_one ? net.beta.type : net.alpha.type});
  const auto rates = [&](const tensor::MatView& matrix, std::uint32_t first) {
    tensor::Product one = product(matrix, nullptr, s_.delta_rates.data() + first);
    one.y_stride = std::size_t{2} * c.n_value_heads;
    return one;
  };
  const tensor::Product qkv = product(net.qkv, nullptr, s_.delta_qkv.data());
  const tensor::Product gate = product(net.gate, nullptr, s_.delta_gate.data());
  if (has_one) {
    multiply({qkv, gate, rates(net.beta, 0)}, {w.attn_out});
  } else {
    multiply({qkv, gate, rates(net.beta, 0), rates(net.alpha, c.n_value_heads)}, {w.attn_out});
  }

  const std::uint32_t index = config_.layers[layer].kv_index;
  const auto n_segments = static_cast<std::uint32_t>(batch_.size());
  const std::uint32_t n_blocks = (c.channels() + kChannelsPerTask - 1) / kChannelsPerTask;
  pool_.run(n_segments * n_blocks, [&](std::uint32_t task) {
    mix_channels(net, index, task / n_blocks, task % n_blocks * kChannelsPerTask);
  });
  pool_.run(n_segments * c.n_value_heads, [&](std::uint32_t task) {
    run_delta_head(net, index, task / c.n_value_heads, task % c.n_value_heads);
  });
}

float* ForwardPass::delta_state(std::uint32_t index, std::uint32_t segment) const {
  auto* const state = reinterpret_cast<float*>(batch_[segment].state);
  return state + std::size_t{index} * config_.delta.state_floats();
}

// Where a segment's tokens lie in the batch.
std::uint32_t ForwardPass::first_row(std::uint32_t segment) const {
  std::size_t n = 0;
  for (std::uint32_t i = 0; i < segment; ++i) n += batch_[i].tokens.size();
  return static_cast<std::uint32_t>(n);
}

// The convolution of some channels of one segment, in place: last tokens first, since each reads
// the inputs of those before it.
void ForwardPass::mix_channels(const DeltaNetWeights& net, std::uint32_t index,
                               std::uint32_t segment, std::uint32_t first) {
  const DeltaNetConfig& c = config_.delta;
  const std::uint32_t channels = c.channels();
  const std::uint32_t n = std::min(kChannelsPerTask, channels - first);
  const std::uint32_t n_past = c.conv_width - 1;
  const auto n_tokens = static_cast<std::uint32_t>(batch_[segment].tokens.size());
  float* const rows = s_.delta_qkv.data() + std::size_t{first_row(segment)} * channels + first;
  float* const kept = delta_state(index, segment) + c.matrix_floats() + first;

  std::array<float, std::size_t{kDeltaConvMax} * kChannelsPerTask> past;
  for (std::uint32_t i = 0; i < n_past; ++i) {
    std::copy_n(kept + std::size_t{i} * channels, n, &past[std::size_t{i} * kChannelsPerTask]);
  }
  // Row t of what came before and what comes now, from t = -n_past on.
  const auto input = [&](std::int64_t t) -> const float* {
    if (t >= 0) return rows + static_cast<std::size_t>(t) * channels;
    return &past[static_cast<std::size_t>(t + n_past) * kChannelsPerTask];
  };
  for (std::uint32_t i = 0; i < n_past; ++i) {
    const std::int64_t t = std::int64_t{n_tokens} - n_past + i;
    std::copy_n(input(t), n, kept + std::size_t{i} * channels);
  }
  std::array<float, kChannelsPerTask> sum;
  for (std::uint32_t t = n_tokens; t-- > 0;) {
    std::fill_n(sum.begin(), n, 0.0F);
    for (std::uint32_t k = 0; k < c.conv_width; ++k) {
      const float* const x = input(std::int64_t{t} - n_past + k);
      for (std::uint32_t d = 0; d < n; ++d) {
        sum[d] += net.conv[std::size_t{first + d} * c.conv_width + k] * x[d];
      }
    }
    float* const out = rows + std::size_t{t} * channels;
    for (std::uint32_t d = 0; d < n; ++d) out[d] = sum[d] * sigmoid(sum[d]);
  }
}

// One head of one segment, token by token.
void ForwardPass::run_delta_head(const DeltaNetWeights& net, std::uint32_t index,
                                 std::uint32_t segment, std::uint32_t head) {
  const DeltaNetConfig& c = config_.delta;
  const std::uint32_t size = c.state_size;
  // Where heads are grouped, a group's betas come before its alphas.
  const std::uint32_t group = c.n_value_heads / c.n_key_heads;
  const std::uint32_t key_head = c.heads_are_grouped ? head / group : head % c.n_key_heads;
  const std::uint32_t beta_at = c.heads_are_grouped ? key_head * group + head : head;
  const std::uint32_t alpha_at = beta_at + (c.heads_are_grouped ? group : c.n_value_heads);
  float* const matrix = delta_state(index, segment) + std::size_t{head} * size * size;
  const std::uint32_t first = first_row(segment);
  const float scale = 1.0F / std::sqrt(static_cast<float>(size));
  std::array<float, kHeadDimMax> query, key, out;
  for (std::uint32_t t = 0; t < batch_[segment].tokens.size(); ++t) {
    const std::size_t row = first + t;
    const float* const mixed = s_.delta_qkv.data() + row * c.channels();
    unit(mixed + std::size_t{key_head} * size, size, config_.norm_eps, query.data());
    unit(mixed + (std::size_t{c.n_key_heads} + key_head) * size, size, config_.norm_eps,
         key.data());
    const float* const value = mixed + (std::size_t{2} * c.n_key_heads + head) * size;
    const float* const rates = s_.delta_rates.data() + row * 2 * c.n_value_heads;
    const float alpha = rates[alpha_at] + net.dt_bias[head];
    const float decay = std::exp(net.a[head] * softplus(alpha));
    const float beta = sigmoid(rates[beta_at]);
    for (std::uint32_t v = 0; v < size; ++v) {
      float* const s = matrix + std::size_t{v} * size;
      for (std::uint32_t k = 0; k < size; ++k) s[k] *= decay;
      const float learnt = (value[v] - tensor::dot(s, key.data(), size)) * beta;
      for (std::uint32_t k = 0; k < size; ++k) s[k] += learnt * key[k];
      out[v] = tensor::dot(s, query.data(), size) * scale;
    }
    tensor::rms_norm(out.data(), net.norm, size, config_.norm_eps, out.data());
    const std::size_t at = std::size_t{head} * size;
    tensor::silu_mul(s_.delta_gate.data() + row * c.value_width() + at, out.data(), size,
                     attended_row(static_cast<std::uint32_t>(row)) + at);
  }
}

}  // namespace hearth::model

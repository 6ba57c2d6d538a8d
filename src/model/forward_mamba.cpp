// Layers of Mamba-2, as Nemotron-H and Granite 4 have them in place of attention
// (arxiv.org/abs/2405.21060).
//
// A head keeps a matrix S of what its values wrote.  Each token makes it forget and writes its value
// x by the group's vector b; what it reads by the vector c, and a share of the value itself, is its
// output, which a gate weighs and a norm per group evens out:
//
//   S = exp(dt a) S + b (dt x)^T        out = norm((S^T c + d x) silu(gate))
//
// Its state is S [n_heads][state_size][head_dim], and the inputs that the convolution of values, b
// and c looks back to (forward_recurrent.cpp).
#include <array>
#include <cmath>

#include "model/config.h"
#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

float softplus(float x) { return x > 20.0F ? x : std::log1p(std::exp(x)); }

}  // namespace

// attended = the heads' gated outputs.
void ForwardPass::run_mamba(const LayerWeights& w) {
  const MambaConfig& c = config_.mamba;
  const MambaWeights& mamba = w.mamba;
  prepare_normed(w.attn_norm, {mamba.gate.type});
  multiply({product(mamba.gate, nullptr, s_.recurrent_gate.data()),
            product(mamba.mixed, nullptr, s_.recurrent_in.data()),
            product(mamba.rates, nullptr, s_.recurrent_rates.data())},
           {w.attn_out});
  mix_channels({mamba.conv, mamba.conv_bias, c.channels(), c.conv_width, c.state_floats()});
  pool_.run(static_cast<std::uint32_t>(batch_.size()) * c.n_heads, [&](std::uint32_t task) {
    run_mamba_head(mamba, task / c.n_heads, task % c.n_heads);
  });
  const std::uint32_t size = c.d_inner / c.n_groups;
  for_rows(n_rows_, [&](std::uint32_t i) {
    for (std::uint32_t at = 0; at < c.d_inner; at += size) {
      float* const group = attended_row(i) + at;
      tensor::rms_norm(group, mamba.norm + at, size, config_.norm_eps, group);
    }
  });
}

// One head of one segment, token by token.
void ForwardPass::run_mamba_head(const MambaWeights& mamba, std::uint32_t segment,
                                 std::uint32_t head) {
  const MambaConfig& c = config_.mamba;
  const std::uint32_t size = c.head_dim();
  const std::size_t at = std::size_t{head} * size;
  const std::size_t of_group = std::size_t{head / (c.n_heads / c.n_groups)} * c.state_size;
  float* const matrix = recurrent_state(c.state_floats(), segment) + at * c.state_size;
  const std::uint32_t first = first_row(segment);
  std::array<float, kHeadDimMax> value, out;
  for (std::uint32_t t = 0; t < batch_[segment].tokens.size(); ++t) {
    const std::size_t row = first + t;
    const float* const x = s_.recurrent_in.data() + row * c.channels();
    const float* const writes = x + c.d_inner + of_group;
    const float* const reads = writes + std::size_t{c.n_groups} * c.state_size;
    const float rate =
        softplus(s_.recurrent_rates.data()[row * c.n_heads + head] + mamba.dt_bias[head]);
    for (std::uint32_t d = 0; d < size; ++d) value[d] = x[at + d] * rate;
    tensor::scan_rows(matrix, c.state_size, size, std::exp(rate * mamba.a[head]), writes,
                      value.data(), reads, out.data());
    for (std::uint32_t d = 0; d < size; ++d) out[d] += mamba.d[head] * x[at + d];
    tensor::silu_mul(s_.recurrent_gate.data() + row * c.d_inner + at, out.data(), size,
                     attended_row(static_cast<std::uint32_t>(row)) + at);
  }
}

}  // namespace hearth::model

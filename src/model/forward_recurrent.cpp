// What layers share whose sessions carry a state of one size from token to token, however long they
// are: where it lies, and the causal convolution over each channel's last few tokens.
//
//   state [n_layers of the kind] { matrices (forward_delta_net.cpp, forward_mamba.cpp),
//                                  last inputs [width - 1][channels] }
//
// It is read and written in place, token by token in the order of the session, so that the bits do
// not depend on how a prompt was cut; it can't go back, nor begin in the middle
// (engine/session_pages.h).
#include <algorithm>
#include <array>

#include "model/config.h"
#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kChannelsPerTask = 256;

constexpr auto kOnes = [] {
  std::array<float, kChannelsPerTask> ones{};
  ones.fill(1.0F);
  return ones;
}();

}  // namespace

// Of the layer that is being computed.
float* ForwardPass::recurrent_state(std::size_t state_floats, std::uint32_t segment) const {
  return reinterpret_cast<float*>(batch_[segment].state) + plan_->kv_index * state_floats;
}

// Where a segment's tokens lie in the batch.
std::uint32_t ForwardPass::first_row(std::uint32_t segment) const {
  std::size_t n = 0;
  for (std::uint32_t i = 0; i < segment; ++i) n += batch_[i].tokens.size();
  return static_cast<std::uint32_t>(n);
}

// recurrent_in = silu(convolution), in place.
void ForwardPass::mix_channels(const ChannelMix& mix) {
  const std::uint32_t n_blocks = (mix.channels + kChannelsPerTask - 1) / kChannelsPerTask;
  pool_.run(static_cast<std::uint32_t>(batch_.size()) * n_blocks, [&](std::uint32_t task) {
    mix_channels_of(mix, task / n_blocks, task % n_blocks * kChannelsPerTask);
  });
}

// Some channels of one segment: last tokens first, since each reads the inputs of those before it.
void ForwardPass::mix_channels_of(const ChannelMix& mix, std::uint32_t segment,
                                  std::uint32_t first) {
  const std::uint32_t channels = mix.channels;
  const std::uint32_t n = std::min(kChannelsPerTask, channels - first);
  const std::uint32_t n_past = mix.width - 1;
  const auto n_tokens = static_cast<std::uint32_t>(batch_[segment].tokens.size());
  float* const rows = s_.recurrent_in.data() + std::size_t{first_row(segment)} * channels + first;
  float* const kept = recurrent_state(mix.state_floats, segment) + mix.state_floats -
                      std::size_t{n_past} * channels + first;

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
  // By tokens, so that channels lie side by side.
  std::array<float, std::size_t{kDeltaConvMax} * kChannelsPerTask> kernel;
  for (std::uint32_t d = 0; d < n; ++d) {
    for (std::uint32_t k = 0; k < mix.width; ++k) {
      kernel[std::size_t{k} * kChannelsPerTask + d] =
          mix.conv[std::size_t{first + d} * mix.width + k];
    }
  }
  std::array<float, kChannelsPerTask> sum;
  for (std::uint32_t t = n_tokens; t-- > 0;) {
    if (mix.bias == nullptr) {
      std::fill_n(sum.begin(), n, 0.0F);
    } else {
      std::copy_n(mix.bias + first, n, sum.begin());
    }
    for (std::uint32_t k = 0; k < mix.width; ++k) {
      const float* const x = input(std::int64_t{t} - n_past + k);
      const float* const weights = &kernel[std::size_t{k} * kChannelsPerTask];
      for (std::uint32_t d = 0; d < n; ++d) sum[d] += weights[d] * x[d];
    }
    tensor::silu_mul(sum.data(), kOnes.data(), n, rows + std::size_t{t} * channels);
  }
}

}  // namespace hearth::model

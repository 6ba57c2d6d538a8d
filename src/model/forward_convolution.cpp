// Layers of short convolutions, as LFM2 has them in place of attention (arxiv.org/abs/2511.23404):
// a projection gives each token b, c and x; what a channel keeps is b x; its output is c times the
// weighted sum of its last few b x.
//
// The b x of every token lie in the pages, as halves beside the keys and values of other layers.  A
// state of the last few alone would be smaller, but it could neither be shared with another session
// at any page's end, nor go back when a draft is refused.  This one does both without a word in
// the engine.
#include <algorithm>
#include <array>

#include "model/forward_pass.h"
#include "tensor/vector_ops.h"

namespace hearth::model {

using tensor::F16;

void ForwardPass::project_and_store_convolution(const LayerWeights& w, std::uint32_t layer) {
  prepare_normed(w.attn_norm, {w.conv_in.type});
  multiply({product(w.conv_in, nullptr, s_.conv.data())}, {w.attn_out});
  const std::uint32_t n = config_.d_model;
  for_rows(n_rows_, [&](std::uint32_t i) {
    const TokenPlace& place = s_.places[i];
    float* const b = s_.conv.data() + std::size_t{i} * 3 * n;
    const float* const x = b + 2 * std::size_t{n};
    for (std::uint32_t d = 0; d < n; ++d) b[d] *= x[d];
    const std::size_t at =
        layout_.memory_offset(config_.layers[layer].kv_index, place.position % kPageTokens);
    tensor::f16_from_f32(b, n, reinterpret_cast<F16*>(place.page + at));
  });
}

// attended = c times the sums; as wide as d_model here.
void ForwardPass::convolve(const LayerWeights& w, std::uint32_t layer) {
  for_rows(n_rows_, [&](std::uint32_t i) {
    const float* const c = s_.conv.data() + (std::size_t{i} * 3 + 1) * config_.d_model;
    convolve_token(w.conv, s_.places[i], config_.layers[layer].kv_index, attended_row(i));
    for (std::uint32_t d = 0; d < config_.d_model; ++d) attended_row(i)[d] *= c[d];
  });
}

void ForwardPass::convolve_token(const float* kernel, const TokenPlace& place, std::uint32_t memory,
                                 float* out) const {
  constexpr std::uint32_t kPart = 256;
  const std::uint32_t width = config_.conv_width;
  const std::uint32_t n_past = std::min(place.position, width - 1);
  std::fill_n(out, config_.d_model, 0.0F);
  for (std::uint32_t back = n_past + 1; back-- > 0;) {
    const std::uint32_t position = place.position - back;
    const bool is_before = position / kPageTokens != place.position / kPageTokens;
    const auto* const kept =
        reinterpret_cast<const F16*>((is_before ? place.page_before : place.page) +
                                     layout_.memory_offset(memory, position % kPageTokens));
    for (std::uint32_t at = 0; at < config_.d_model; at += kPart) {
      const std::uint32_t n = std::min(kPart, config_.d_model - at);
      std::array<float, kPart> values;
      tensor::f32_from_f16(kept + at, n, values.data());
      for (std::uint32_t d = 0; d < n; ++d) {
        out[at + d] += kernel[std::size_t{at + d} * width + (width - 1 - back)] * values[d];
      }
    }
  }
}

}  // namespace hearth::model

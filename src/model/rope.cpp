#include "model/rope.h"

#include <cmath>

namespace hearth::model {

std::vector<double> rope_frequencies(const ModelConfig& config, const float* factors) {
  std::vector<double> frequencies(config.rope_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / config.rope_dim;
    const double factor = factors == nullptr ? 1.0 : static_cast<double>(factors[i]);
    frequencies[i] = std::pow(static_cast<double>(config.rope_theta), exponent) / factor /
                     static_cast<double>(config.rope_scale);
  }
  return frequencies;
}

void rope_angles(std::span<const double> frequencies, std::uint32_t position, float* out) {
  float* const cosines = out;
  float* const sines = out + frequencies.size();
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = position * frequencies[i];
    cosines[i] = static_cast<float>(std::cos(angle));
    sines[i] = static_cast<float>(std::sin(angle));
  }
}

void rope_rotate(RopePairs pairs, const float* angles, std::uint32_t n_pairs, float* head) {
  const float* const cosines = angles;
  const float* const sines = angles + n_pairs;
  const std::uint32_t step = pairs == RopePairs::kAdjacent ? 2 : 1;         // To the next pair.
  const std::uint32_t apart = pairs == RopePairs::kAdjacent ? 1 : n_pairs;  // Within a pair.
  for (std::uint32_t i = 0; i < n_pairs; ++i) {
    float& a = head[i * step];
    float& b = head[i * step + apart];
    const float turned_a = a * cosines[i] - b * sines[i];
    const float turned_b = a * sines[i] + b * cosines[i];
    a = turned_a;
    b = turned_b;
  }
}

}  // namespace hearth::model

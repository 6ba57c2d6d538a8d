// True logits, as files of floats, and how far others are from them.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>
#include <vector>

#include "base/file.h"

namespace hearth::model {

inline std::vector<float> read_logits(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  HEARTH_CHECK(bytes);
  std::vector<float> logits(bytes->size() / sizeof(float));
  std::memcpy(logits.data(), bytes->data(), logits.size() * sizeof(float));
  return logits;
}

// |found - truth| / |truth|
inline double relative_error(std::span<const float> found, std::span<const float> truth) {
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    difference += std::pow(static_cast<double>(found[i]) - static_cast<double>(truth[i]), 2);
    norm += std::pow(static_cast<double>(truth[i]), 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace hearth::model

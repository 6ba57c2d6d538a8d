// Reads and checks keys `ARCH.suffix` of a GGUF file: internal to config*.cpp.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"

namespace hearth::model {

// Reads keys `ARCH.suffix` of one file.
class ConfigReader {
 public:
  ConfigReader(const gguf::GgufFile& file, std::string_view prefix)
      : file_(file), prefix_(prefix) {}

  std::string key(std::string_view suffix) const { return fmt::format("{}.{}", prefix_, suffix); }

  std::unexpected<Error> refuse(Code code, std::string_view what) const {
    return fail(code, fmt::format("'{}': {}", file_.name(), what));
  }

  // A count from 1 to `max`.
  Result<std::uint32_t> count(std::string_view suffix, std::uint32_t max,
                              std::optional<std::uint32_t> fallback = {}) const {
    HEARTH_TRY(const std::uint32_t value, scalar_or_uniform(suffix, fallback));
    if (value >= 1 && value <= max) return value;
    return refuse(Code::kCorrupt,
                  fmt::format("key '{}' is {}, 1 to {} allowed: convert the model again",
                              key(suffix), value, max));
  }

  // Some files give a value per layer; only equal ones are read.
  Result<std::uint32_t> scalar_or_uniform(std::string_view suffix,
                                          std::optional<std::uint32_t> fallback) const;

  // A count for each of n_layers, from a number or a list; 0 is allowed in a list.
  Result<std::vector<std::uint32_t>> count_per_layer(std::string_view suffix,
                                                     std::uint32_t n_layers, std::uint32_t max,
                                                     std::optional<std::uint32_t> fallback) const;

  Result<float> positive(std::string_view suffix, std::optional<float> fallback) const {
    HEARTH_TRY(const float value, file_.get_f32(key(suffix), fallback));
    if (value > 0) return value;
    return refuse(Code::kCorrupt, fmt::format("key '{}' is {}, a number above 0 is needed: convert "
                                              "the model again",
                                              key(suffix), value));
  }

  // 0 where the file says nothing.
  Result<float> not_negative(std::string_view suffix) const {
    HEARTH_TRY(const float value, file_.get_f32(key(suffix), 0.0F));
    if (value >= 0 && std::isfinite(value)) return value;
    return refuse(Code::kCorrupt, fmt::format("key '{}' is {}, 0 or more is needed: convert the "
                                              "model again",
                                              key(suffix), value));
  }

  const gguf::GgufFile& file() const { return file_; }

 private:
  const gguf::GgufFile& file_;
  std::string prefix_;
};

}  // namespace hearth::model

// Any bytes: an error that names the file, or entries whose every value is a number from 0 on.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "convert/importance.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto importance =
      convert::parse_importance(std::as_bytes(std::span(data, size)), "fuzz.dat");
  if (!importance) {
    HEARTH_CHECK(importance.error().message.find("fuzz.dat") != std::string::npos);
    return 0;
  }
  HEARTH_CHECK(!importance->inputs.empty());
  for (const auto& [name, values] : importance->inputs) {
    HEARTH_CHECK(!values.empty());
    for (const float value : values) HEARTH_CHECK(std::isfinite(value) && value >= 0);
  }
  return 0;
}

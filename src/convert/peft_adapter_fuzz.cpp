// Any configuration and any weights, with a zero byte between: an error that names the adapter, or
// one that fits its base.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "convert/peft_adapter.h"
#include "model/base_for_fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::size_t middle =
      static_cast<std::size_t>(std::find(data, data + size, std::uint8_t{0}) - data);
  const std::string_view config(reinterpret_cast<const char*>(data), middle);
  const auto weights = bytes.subspan(std::min(middle + 1, size));
  const model::Model& base = model::base_for_fuzzing();
  const auto source = convert::read_peft_adapter(config, weights, "fuzz", base);
  const auto adapter = source ? model::Adapter::bind(*source, base)
                              : Result<std::shared_ptr<const model::Adapter>>(
                                    std::unexpected(source.error()));
  if (!adapter) {
    HEARTH_CHECK(adapter.error().message.find("fuzz") != std::string::npos);
    return 0;
  }
  HEARTH_CHECK((*adapter)->fits(base) && (*adapter)->bytes() > 0);
  return 0;
}

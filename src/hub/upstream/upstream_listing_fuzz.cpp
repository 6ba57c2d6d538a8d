// Fuzzes what other servers say of their models: whatever comes, names are names and lists are short.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/utf8.h"
#include "hub/upstream/listing.h"

namespace {

void check(const hearth::Result<hearth::hub::UpstreamListing>& listing) {
  if (!listing) return;
  HEARTH_CHECK(listing->models.size() <= hearth::hub::kUpstreamModelsMax);
  for (const auto& model : listing->models) {
    HEARTH_CHECK(!model.name.empty() && model.name.size() <= hearth::hub::kUpstreamModelNameBytesMax);
    HEARTH_CHECK(hearth::is_valid_utf8(model.name) && hearth::is_valid_utf8(model.elsewhere));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check(hearth::hub::parse_model_list(bytes));
  check(hearth::hub::parse_ollama_tags(bytes));
  (void)hearth::hub::parse_ollama_show(bytes);
  return 0;
}

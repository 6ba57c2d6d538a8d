// Any text from a model, split anywhere: the same comes out, and the same is reported.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "privacy/placeholders.h"

namespace {

using namespace hearth::privacy;

Placeholders sample() {
  Placeholders placeholders;
  constexpr std::string_view kText = "Ann Bob 4111";
  placeholders.redact(kText, {{0, 3, "PERSON", "fuzz"}, {4, 7, "PERSON", "fuzz"}, {8, 12, "CREDIT_CARD", "fuzz"}});
  return placeholders;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Placeholders placeholders = sample();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  RestoreReport whole_report;
  const std::string whole = restore(placeholders, text, whole_report);
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{17}}) {
    Restorer restorer(placeholders);
    std::string pieces;
    for (std::size_t at = 0; at < text.size(); at += step) pieces += restorer.feed(text.substr(at, step));
    pieces += restorer.finish();
    HEARTH_CHECK(pieces == whole);
    HEARTH_CHECK(restorer.report().unknown == whole_report.unknown);
    HEARTH_CHECK(restorer.report().mangled == whole_report.mangled);
  }
  return 0;
}

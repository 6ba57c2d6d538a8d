// Any bytes: spans lie within the text, sorted and apart, and what was redacted comes back byte for byte.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/utf8.h"
#include "privacy/placeholders.h"
#include "privacy/redactor.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::privacy;
  static const Redactor redactor;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Spans spans = redactor.find(text);
  std::size_t end = 0;
  for (const Span& span : spans) {
    HEARTH_CHECK(span.begin >= end && span.end > span.begin && span.end <= text.size());
    HEARTH_CHECK(!span.type.empty() && !span.detector.empty());
    end = span.end;
  }
  Placeholders placeholders;
  const std::string hidden = placeholders.redact(text, spans);
  RestoreReport report;
  HEARTH_CHECK(restore(placeholders, hidden, report) == text);
  // A valid text stays valid: no span cuts a character.
  if (hearth::is_valid_utf8(text)) HEARTH_CHECK(hearth::is_valid_utf8(hidden));
  return 0;
}

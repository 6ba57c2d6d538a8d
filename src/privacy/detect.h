// The deterministic floor: everything that can be found by form, check digits or a word beside it.
#pragma once

#include <string_view>

#include "privacy/span.h"

namespace hearth::privacy {

// Appends what it finds, in the order of the text; spans may overlap.  Linear in the text's length:
// each detector reads a bounded stretch.
void detect(std::string_view text, Spans& spans);

// Of overlapping spans the one of the higher rank stays, then the longer one; what is left of a lower
// one before it stays, too, where its form allows that (URLs).  Sorted by place.
Spans resolve(std::string_view text, Spans spans);

}  // namespace hearth::privacy

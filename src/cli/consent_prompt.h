// What waits for somebody's consent, shown to a person at a terminal.
#pragma once

#include "cli/answer_source.h"

namespace hearth::cli {

// Shows the exact bytes and asks on the terminal, whatever standard input and output are.  Where there is
// none, and at Ctrl-C, the answer is no.
ConsentReply ask_for_consent(const advisor::Departure& departure);

// The bytes, where they would go and why they may, as a person reads them.
std::string departure_text(const advisor::Departure& departure);

}  // namespace hearth::cli

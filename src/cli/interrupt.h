// Ctrl-C: noted, never fatal by surprise.  A second one within the same verb ends the program, so
// that nothing can hang it.
#pragma once

namespace hearth::cli {

// From now on SIGINT sets a flag; the second unanswered SIGINT exits with 130.
void watch_interrupts();

// Whether Ctrl-C was pressed since the last call.
bool take_interrupt();

// The same, without taking it.
bool is_interrupted();

}  // namespace hearth::cli

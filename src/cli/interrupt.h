// Ctrl-C: noted, never fatal by surprise.  A second one within the same verb ends the program, so
// that nothing can hang it.
#pragma once

namespace hearth::cli {

// From now on SIGINT sets a flag; the second unanswered SIGINT exits with 130.
void watch_interrupts();

// Whether Ctrl-C was pressed since the last call.
bool take_interrupt();

// Readable from a Ctrl-C until it is taken, to wait for beside other input: the signal may come to any thread.
int interrupt_descriptor();

}  // namespace hearth::cli

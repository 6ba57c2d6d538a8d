// Ctrl-C: noted, never fatal by surprise.  A second one within the same verb ends the program, so
// that nothing can hang it.
#pragma once

namespace hearth::cli {

// From now on SIGINT sets a flag; the second unanswered SIGINT exits with 130.
void watch_interrupts();

// Whether Ctrl-C was pressed since the last call.
bool take_interrupt();

// To wait for beside other input, since the signal may come to any thread: readable from a Ctrl-C until it is taken.
// It may be readable without one, too; take_interrupt() says, and makes it unreadable.
int interrupt_descriptor();

}  // namespace hearth::cli

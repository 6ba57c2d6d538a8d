// The worker: from its first instruction to the loop that reads the control socket.
#pragma once

namespace hearth::sandbox {

// Arguments: memory=, mapped=, stack=, threads=, spin=.  Descriptors: protocol.h.  Never returns.
[[noreturn]] void serve(int argc, char** argv);

}  // namespace hearth::sandbox

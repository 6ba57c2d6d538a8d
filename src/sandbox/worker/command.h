// The jailer: runs one foreign program in a jail, watches it, and ends what is left of it.
//
// It stands between the library and the program because somebody has to be there who is not in the
// jail and has nothing else to do: to be asked for each process that is started (seccomp's user
// notification: exact for any user, where RLIMIT_NPROC counts all that a user has, and nothing for
// root), to hold the deadline, to become the parent of orphans, and to kill them all if its owner
// dies.
#pragma once

namespace hearth::sandbox {

// Arguments: cpu=, as=, file=, wall=, n=, cwd=, r=PATH..., w=PATH..., env=NAME=VALUE..., then "--"
// and the program with its arguments.  Descriptors: protocol.h.  Sends one CommandReport.
int run_command(int argc, char** argv);

// Builds all jails around this process and looks whether they hold; sends one ControlReply.
int probe_jail();

}  // namespace hearth::sandbox

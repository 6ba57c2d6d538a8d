// The program that the library carries: a worker that runs kernels, or a jailer that runs a
// compiler.
//
// It is linked statically and without the C++ runtime, so that a jail around it needs no file, and
// built without the sanitizers of its surroundings, which would need system calls that it gives up.
#include <sys/prctl.h>
#include <unistd.h>

#include <cstring>

#include "sandbox/protocol.h"
#include "sandbox/worker/arguments.h"
#include "sandbox/worker/command.h"
#include "sandbox/worker/lockdown.h"
#include "sandbox/worker/serve.h"

int main(int argc, char** argv) {
  using namespace hearth::sandbox;
  ::close(kProgramFd);
  if (argc < 2) return 2;
  ::prctl(PR_SET_NAME, argv[0]);  // Started by its descriptor, it would be called "3".
  fail_step(static_cast<std::uint32_t>(number_of(argc, argv, "fail=")));
  limit_landlock(static_cast<std::uint32_t>(number_of(argc, argv, "landlock=")));
  if (std::strcmp(argv[1], "worker") == 0) serve(argc, argv);
  if (std::strcmp(argv[1], "command") == 0) return run_command(argc, argv);
  if (std::strcmp(argv[1], "probe") == 0) return probe_jail();
  return 2;
}

// The second program that the library carries: compiles kernels for devices in the compiler's jail,
// and runs them in a worker of their own.
//
// Drivers are shared libraries, which a static program can't open, so this one is dynamic; it is
// started from memory as the other is (program.h), but for compiling, where it is a file that the
// jail lets run.
#include <sys/prctl.h>
#include <unistd.h>

#include <cstring>

#include "sandbox/device/backend.h"
#include "sandbox/protocol.h"
#include "sandbox/worker/arguments.h"
#include "sandbox/worker/lockdown.h"

int main(int argc, char** argv) {
  using namespace hearth::sandbox;
  if (argc < 2) return 2;
  // Drivers' own ends take their time, or fail.
  if (std::strcmp(argv[1], "build-opencl") == 0)
    ::_exit(static_cast<int>(build_opencl(argc, argv)));
  if (std::strcmp(argv[1], "build-cuda") == 0) ::_exit(static_cast<int>(build_cuda(argc, argv)));
  if (std::strcmp(argv[1], "worker") != 0) return 2;
  ::close(kProgramFd);
  ::prctl(PR_SET_NAME, argv[0]);
  fail_step(static_cast<std::uint32_t>(number_of(argc, argv, "fail=")));
  limit_landlock(static_cast<std::uint32_t>(number_of(argc, argv, "landlock=")));
  serve_device(argc, argv);
}

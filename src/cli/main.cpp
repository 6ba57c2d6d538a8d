// hearth: the program.
#include "cli/command_line.h"
#include "cli/terminal.h"
#include "compute/devices/device_host.h"

int main(int argc, char** argv) {
  // Started by a hub for a device's driver: nothing else of this program is wanted.
  if (argc > 1 && argv[1] == hearth::compute::kDeviceHostVerb)
    return hearth::compute::serve_device(argc - 2, argv + 2);

  // Read the command line.  Help, version and misuse have been printed by then.
  const hearth::cli::Invocation invocation = hearth::cli::parse_command_line(argc, argv);
  if (!invocation.run) return invocation.exit_code;

  // Beyond this point every failure is a value: one sentence, one exit code.
  const hearth::Result<> done = invocation.run();
  if (done) return 0;
  hearth::cli::print_error(done.error());
  return hearth::cli::exit_code_of(done.error().code);
}

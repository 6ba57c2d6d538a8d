// hearth: the program.
#include "cli/command_line.h"
#include "cli/terminal.h"

int main(int argc, char** argv) {
  // Read the command line.  Help, version and misuse have been printed by then.
  const hearth::cli::Invocation invocation = hearth::cli::parse_command_line(argc, argv);
  if (!invocation.run) return invocation.exit_code;

  // Beyond this point every failure is a value: one sentence, one exit code.
  const hearth::Result<> done = invocation.run();
  if (done) return 0;
  hearth::cli::print_error(done.error());
  return hearth::cli::exit_code_of(done.error().code);
}

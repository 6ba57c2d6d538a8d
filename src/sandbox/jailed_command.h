// Runs a program that handles foreign text, a compiler above all, so that it can hurt nobody.
//
// A compiler reads what a stranger wrote: `#include "/home/you/.ssh/id_rsa"` quotes the file in a
// diagnostic, `.incbin` copies it into the image, constexpr loops burn any amount of time and
// memory. So the program and all that it starts see only the paths that it is given (Landlock), may
// make only the system calls that compilers make (seccomp), have no capabilities, no network and no
// way to signal or trace others, an environment of the caller's making, and limits on everything.
// A small program of our own stands between: it counts processes, holds the deadline, and ends what
// is left of them; it dies with its caller, and they with it.
//
// As an ordinary user and as root.  Where a jail can't be built, nothing runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::sandbox {

struct JailLimits {
  std::uint32_t cpu_s = 20;                                    // Of each process.
  std::uint32_t wall_ms = 30'000;                              // Of the whole.
  std::uint64_t address_space_bytes = std::uint64_t{2} << 30;  // Of each process.
  std::uint64_t file_bytes = std::uint64_t{64} << 20;          // Of each file that is written.
  std::uint64_t output_bytes = std::uint64_t{256}
                               << 10;  // Kept of stdout and stderr; the rest is read and dropped.
  std::uint32_t n_processes = 8;  // Started in all, over the command's life, the program included.
};

struct JailedCommand {
  std::filesystem::path program;       // Absolute; it must lie below a readable path.
  std::vector<std::string> arguments;  // Without the program's name.
  std::vector<std::filesystem::path>
      readable;  // Files, and folders with all that is below; may be run.
  std::vector<std::filesystem::path>
      writable;  // The same, for reading and writing; nothing there may be run.
  std::filesystem::path working_folder = "/";
  std::string input;                     // What stdin has.
  std::vector<std::string> environment;  // "NAME=value", and nothing else.
  JailLimits limits;
};

struct CommandOutcome {
  int exit_code = 0;       // 0 if a signal ended it.
  int signal = 0;          // SIGXCPU and SIGXFSZ: the limit on CPU time, on a file's size.
  bool timed_out = false;  // Killed at the deadline.
  bool output_truncated = false;
  std::uint32_t n_refused_processes = 0;  // Starts of processes beyond the limit, which failed.
  std::uint64_t cpu_us = 0;               // Of all processes that it waited for.
  std::uint64_t wall_us = 0;
  std::string output;  // stdout and stderr, as they came.

  bool succeeded() const { return exit_code == 0 && signal == 0 && !timed_out; }
};

// Runs the command to its end.  kUnsupported where no jail can be built, with the reason; kNotFound
// for a program or path that is not there; kInvalidArgument for one that is not absolute.  How the
// program fared is no error.
//
// Threading: any thread; it waits.
Result<CommandOutcome> run_jailed(const JailedCommand& command);

// What a compiler of this system needs to read: /usr and what else of the usual folders exists.
std::vector<std::filesystem::path> toolchain_paths();

// Whether jails can be built here, or in one sentence why not.  Found out once, by building one
// (about a millisecond).
//
// Threading: any thread.
Result<> jail_works();

}  // namespace hearth::sandbox

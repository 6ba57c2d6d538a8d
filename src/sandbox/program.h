// The programs of worker/ and device/, as this library starts them: carried as bytes, run from
// memory.
//
// No path is looked up, so nobody can put another program there, and an installed hub is one file.
// It is started by posix_spawn, which copies nothing of a hub that may hold many gigabytes, with an
// empty environment, no signal blocked or ignored, a process group of its own, and the descriptors
// that it is given.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/owned_fd.h"

namespace hearth::sandbox {

enum class Program : std::uint8_t {
  kJail,    // worker/: static; jailer of compilers, and worker of compiled kernels.
  kDevice,  // device/: dynamic, since drivers are libraries; compiles and runs kernels for devices.
};

// A program's bytes; empty in a build that could not make it (another processor than x86-64, or no
// static C library).
std::span<const std::byte> program_bytes(Program program);

// Writes the program to a file that may be run: for a jail that starts it (jailed_command.h).
Result<> write_program(Program program, const std::filesystem::path& path);

// A process that runs the program, killed and reaped when this goes out of scope.
//
// Threading: externally synchronised.
class Process {
 public:
  // `mode` and `arguments` are the program's; descriptors 0, 1 and 2 of it are the three given
  // ones. kUnsupported where the program can't be run, with the reason.
  static Result<Process> start(Program program, const char* mode,
                               std::vector<std::string> arguments, int fd0, int fd1, int fd2);
  // The same for a command (its path, then its arguments) that is trusted as this program is, and
  // shares its environment: nothing jails it.
  static Result<Process> start_command(std::vector<std::string> words, int fd0, int fd1, int fd2);

  Process() = default;
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process() { kill(); }

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  bool is_alive();              // Reaps it if it has ended.
  Result<> signal(int number);  // SIGSTOP and SIGCONT are waited for.
  void kill();                  // And reaps it.
  std::string how_it_ended() const;

 private:
  static Result<Process> spawned(std::string_view what, const std::string& path,
                                 std::vector<std::string>& words, std::span<const int> given,
                                 char* const* environment);
  void reap(int flags);

  pid_t pid_ = -1;  // -1 once it is reaped.
  OwnedFd pidfd_;
  int end_code_ = 0;    // CLD_EXITED, CLD_KILLED or CLD_DUMPED
  int end_status_ = 0;  // Its exit status or signal.
};

// For tests: the step of a jail that shall fail as if the kernel refused it; 0 for none.
void fail_jail_step(std::uint32_t step);
// For tests: no more of Landlock is used than this version had; 0 for all that there is.
void limit_jail_landlock(std::uint32_t version);

// Two connected ends of a socket of packets, closed when a program is run.
struct SocketPair {
  OwnedFd ours, theirs;
};
Result<SocketPair> make_socket_pair();

// Waits until `fd` has something to read or its other end is closed; false once `timeout_ms` have
// passed.
bool wait_readable(int fd, int timeout_ms);

// Text that a jailed process wrote, up to its first zero, with what is not printable ASCII as '?'.
std::string clean_sentence(std::span<const char> text);

}  // namespace hearth::sandbox

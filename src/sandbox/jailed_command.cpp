#include "sandbox/jailed_command.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <span>

#include "sandbox/program.h"
#include "sandbox/protocol.h"
#include "sandbox/run_channel.h"

namespace hearth::sandbox {
namespace {

constexpr std::uint64_t kStopMs = 10'000;  // Beyond the deadline, for the jailer to end everything.
constexpr int kProbeMs = 20'000;

Result<> check_path(const std::filesystem::path& path, const char* what) {
  if (!path.is_absolute()) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} '{}' has to be an absolute path", what, path.string()));
  }
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return fail(Code::kNotFound, fmt::format("{} '{}' is not there", what, path.string()));
  }
  return {};
}

Result<> check_command(const JailedCommand& command) {
  HEARTH_TRY_VOID(check_path(command.program, "the program"));
  HEARTH_TRY_VOID(check_path(command.working_folder, "the folder to work in"));
  for (const auto& path : command.readable)
    HEARTH_TRY_VOID(check_path(path, "the path to be readable"));
  for (const auto& path : command.writable)
    HEARTH_TRY_VOID(check_path(path, "the path to be writable"));
  return {};
}

std::vector<std::string> jailer_arguments(const JailedCommand& command) {
  const JailLimits& limits = command.limits;
  std::vector<std::string> words{
      fmt::format("cpu={}", limits.cpu_s),       fmt::format("as={}", limits.address_space_bytes),
      fmt::format("file={}", limits.file_bytes), fmt::format("wall={}", limits.wall_ms),
      fmt::format("n={}", limits.n_processes),   "cwd=" + command.working_folder.string()};
  for (const auto& path : command.readable) words.push_back("r=" + path.string());
  for (const auto& path : command.writable) words.push_back("w=" + path.string());
  for (const auto& variable : command.environment) words.push_back("env=" + variable);
  words.push_back("--");
  words.push_back(command.program.string());
  words.insert(words.end(), command.arguments.begin(), command.arguments.end());
  return words;
}

// Reads what has come through a pipe; false once its other ends are closed.
bool take_output(int fd, std::uint64_t bytes_max, CommandOutcome& outcome) {
  std::array<char, 16384> chunk;
  const ssize_t n = ::read(fd, chunk.data(), chunk.size());
  if (n < 0) return errno == EINTR;
  const std::size_t room = bytes_max - std::min<std::uint64_t>(bytes_max, outcome.output.size());
  const std::size_t kept = std::min(room, static_cast<std::size_t>(n));
  outcome.output.append(chunk.data(), kept);
  outcome.output_truncated |= kept < static_cast<std::size_t>(n);
  return n > 0;
}

// Reads the output and the jailer's report, whichever comes; false if it takes longer than it may.
bool attend(int output, int control, std::uint64_t ms_max, std::uint64_t output_bytes,
            CommandReport& report, bool& has_report, CommandOutcome& outcome) {
  const std::int64_t until_ns = monotonic_ns() + static_cast<std::int64_t>(ms_max) * 1'000'000;
  for (bool has_ended = false; output >= 0 || !has_ended;) {
    const std::int64_t left_ms = (until_ns - monotonic_ns()) / 1'000'000;
    if (left_ms <= 0) return false;
    pollfd events[] = {{output, POLLIN, 0}, {has_ended ? -1 : control, POLLIN, 0}};
    if (::poll(events, 2, static_cast<int>(std::min<std::int64_t>(left_ms, 1'000'000))) <= 0)
      continue;
    if (events[0].revents != 0 && !take_output(output, output_bytes, outcome)) output = -1;
    if (events[1].revents == 0) continue;
    has_ended = true;
    has_report = ::recv(control, &report, sizeof report, MSG_DONTWAIT) ==
                 static_cast<ssize_t>(sizeof report);
  }
  return true;
}

Result<CommandOutcome> outcome_of(const CommandReport& report, CommandOutcome outcome) {
  if (report.end == CommandEnd::kNoJail) {
    return fail(Code::kUnsupported,
                "no jail can be built, so nothing was run: " + clean_sentence(report.sentence));
  }
  if (report.end == CommandEnd::kNoProgram)
    return fail(Code::kNotFound, clean_sentence(report.sentence));
  outcome.exit_code = WIFEXITED(report.wait_status) ? WEXITSTATUS(report.wait_status) : 0;
  outcome.signal = WIFSIGNALED(report.wait_status) ? WTERMSIG(report.wait_status) : 0;
  outcome.timed_out = report.timed_out != 0;
  outcome.n_refused_processes = report.n_refused_processes;
  outcome.cpu_us = report.cpu_us;
  return outcome;
}

Result<> probe() {
  HEARTH_TRY(SocketPair control, make_socket_pair());
  const int theirs = control.theirs.get();
  HEARTH_TRY(Process process, Process::start(Program::kJail, "probe", {}, theirs, theirs, theirs));
  control.theirs.reset();
  ControlReply reply{};
  if (!wait_readable(control.ours.get(), kProbeMs) ||
      ::recv(control.ours.get(), &reply, sizeof reply, MSG_DONTWAIT) !=
          static_cast<ssize_t>(sizeof reply)) {
    process.kill();
    return fail(Code::kUnsupported, fmt::format("no jail can be built: a process that tried {}",
                                                process.how_it_ended()));
  }
  if (reply.is_ok == 0)
    return fail(Code::kUnsupported, "no jail can be built: " + clean_sentence(reply.sentence));
  return {};
}

}  // namespace

Result<CommandOutcome> run_jailed(const JailedCommand& command) {
  HEARTH_TRY_VOID(check_command(command));
  const std::int64_t begun_ns = monotonic_ns();
  HEARTH_TRY(const OwnedFd input,
             make_sealed_memory("hearth_input", std::as_bytes(std::span(command.input))));
  HEARTH_TRY(const OwnedFd stdin_fd, reopen_read_only(input.get()));
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) {
    return fail(Code::kUnavailable,
                fmt::format("a pipe was refused by the system ({})", std::strerror(errno)));
  }
  const OwnedFd output(pipe_fds[0]);
  OwnedFd output_end(pipe_fds[1]);
  HEARTH_TRY(SocketPair control, make_socket_pair());
  HEARTH_TRY(Process jailer,
             Process::start(Program::kJail, "command", jailer_arguments(command),
                            control.theirs.get(), stdin_fd.get(), output_end.get()));
  control.theirs.reset();
  output_end.reset();

  CommandOutcome outcome;
  CommandReport report{};
  bool has_report = false;
  const bool in_time = attend(output.get(), control.ours.get(), command.limits.wall_ms + kStopMs,
                              command.limits.output_bytes, report, has_report, outcome);
  if (!in_time || !has_report) {
    jailer.kill();
    return fail(Code::kInternal, fmt::format("the jailer of '{}' {} without a report",
                                             command.program.string(), jailer.how_it_ended()));
  }
  outcome.wall_us = static_cast<std::uint64_t>(monotonic_ns() - begun_ns) / 1000;
  return outcome_of(report, std::move(outcome));
}

std::vector<std::filesystem::path> toolchain_paths() {
  std::vector<std::filesystem::path> found;
  for (const char* path :
       {"/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"}) {
    std::error_code error;
    if (std::filesystem::exists(path, error)) found.emplace_back(path);
  }
  return found;
}

Result<> jail_works() {
  static const Result<> works = probe();
  return works;
}

}  // namespace hearth::sandbox

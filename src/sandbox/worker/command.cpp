#include "sandbox/worker/command.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "sandbox/descriptor_room.h"
#include "sandbox/protocol.h"
#include "sandbox/run_channel.h"
#include "sandbox/worker/arguments.h"
#include "sandbox/worker/lockdown.h"

namespace hearth::sandbox {
namespace {

constexpr int kHandFd = 5;  // The child's end of the socket by which it hands the listener over.
constexpr std::uint32_t kPathsMax = 64;
constexpr std::uint32_t kEnvironmentMax = 64;
constexpr std::uint64_t kOpenFilesMax = 256;
constexpr int kBusyTries = 100;  // Of starting a program, every 5 ms.
constexpr std::uint64_t kStackBytesMax = std::uint64_t{64} << 20;  // g++ asks for this much.

struct Settings {
  std::uint64_t cpu_s, address_space_bytes, file_bytes, wall_ms, n_processes;
  const char* working_folder = "/";
  AllowedPath paths[kPathsMax];
  std::uint32_t n_paths = 0;
  char* environment[kEnvironmentMax + 1] = {};
  std::uint32_t n_environment = 0;
  char** program = nullptr;
};

bool read_settings(int argc, char** argv, Settings& settings, Trouble& trouble) {
  settings.cpu_s = number_of(argc, argv, "cpu=");
  settings.address_space_bytes = number_of(argc, argv, "as=");
  settings.file_bytes = number_of(argc, argv, "file=");
  settings.wall_ms = number_of(argc, argv, "wall=");
  settings.n_processes = number_of(argc, argv, "n=");
  settings.working_folder = text_of(argc, argv, "cwd=");
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--") == 0) settings.program = argv + i + 1;
    if (settings.program != nullptr) break;
    const char* readable = value_of(argv[i], "r=");
    const char* writable = value_of(argv[i], "w=");
    if (readable != nullptr || writable != nullptr) {
      if (settings.n_paths == kPathsMax) return refuse(trouble, "more than ", kPathsMax, " paths");
      settings.paths[settings.n_paths++] = {readable != nullptr ? readable : writable,
                                            readable != nullptr ? PathUse::kRead : PathUse::kWrite};
    }
    if (value_of(argv[i], "env=") != nullptr) {
      if (settings.n_environment == kEnvironmentMax)
        return refuse(trouble, "more than ", kEnvironmentMax, " variables");
      settings.environment[settings.n_environment++] = argv[i] + 4;
    }
  }
  return settings.program != nullptr && settings.program[0] != nullptr
             ? true
             : refuse(trouble, "no program is named");
}

// ---- The child, until it is the program.

bool hand_over(int listener) {
  char byte = 'L';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  DescriptorRoom<1> beside;
  beside.attach(message, &listener, 1);
  return ::sendmsg(kHandFd, &message, 0) == 1;
}

bool limit_command(const Settings& settings, Trouble& trouble) {
  const Resource resources[] = {
      {RLIMIT_CPU, settings.cpu_s, 1},
      {RLIMIT_AS, settings.address_space_bytes},
      {RLIMIT_FSIZE, settings.file_bytes},
      {RLIMIT_NOFILE, kOpenFilesMax},
      {RLIMIT_STACK, kStackBytesMax},
      {RLIMIT_MEMLOCK, 0},
      {RLIMIT_MSGQUEUE, 0},
  };
  return limit_resources(resources, trouble);
}

bool arrange_descriptors(Trouble& trouble) {
  if (::dup2(kInputFd, 0) < 0 || ::dup2(kOutputFd, 1) < 0) {
    return refuse(trouble, "a descriptor was refused by the system (", std::strerror(errno), ")");
  }
  return true;  // Its stderr is kOutputFd already.
}

bool enter_jail(const Settings& settings, Trouble& trouble) {
  int listener = -1;
  if (!arrange_descriptors(trouble)) return false;
  if (::chdir(settings.working_folder) != 0) {
    return refuse(trouble, "the folder '", Foreign{settings.working_folder}, "' can't be entered (",
                  std::strerror(errno), ")");
  }
  if (!be_expendable(trouble) || !drop_privileges(trouble) ||
      !close_files({settings.paths, settings.n_paths}, trouble) ||
      !limit_command(settings, trouble) ||
      !filter_calls_with_listener(command_filter(), listener, trouble)) {
    return false;
  }
  const bool handed = hand_over(listener);
  ::close(listener);
  return handed || refuse(trouble, "the supervisor does not answer");
}

[[noreturn]] void become_program(const Settings& settings, pid_t jailer) {
  Trouble trouble;
  char first = 'J';  // No jail.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() == jailer && enter_jail(settings, trouble)) {
    // A program that was written a moment ago is busy while a child of another thread still has it.
    for (int i = 0; i < kBusyTries; ++i) {
      ::execve(settings.program[0], settings.program, settings.environment);
      if (errno != ETXTBSY) break;
      const timespec pause{0, 5'000'000};
      ::nanosleep(&pause, nullptr);
    }
    refuse(trouble, "'", Foreign{settings.program[0]}, "' can't be run (", std::strerror(errno),
           ")");
    first = 'P';  // No program.
  }
  char packet[1 + kSentenceBytes];
  packet[0] = first;
  std::memcpy(packet + 1, trouble.text(), kSentenceBytes);
  iovec part{packet, sizeof packet};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ::sendmsg(kHandFd, &message, 0);
  for (;;) ::syscall(SYS_exit_group, 126);
}

// ---- The supervisor.

struct Supervisor {
  pid_t leader = -1;
  int leader_fd = -1;
  int hand = -1;  // Closed by the program's start.
  int listener = -1;
  std::uint64_t n_started = 1;
  bool has_started = false;  // The child is the program now.
};

// Takes what the child says while it builds its jail: the listener, why it failed, or, by closing,
// that the program runs.  False once the command has come to nothing.
bool hear_child(Supervisor& command, CommandReport& report) {
  char packet[1 + kSentenceBytes] = {};
  iovec part{packet, sizeof packet};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  DescriptorRoom<1> beside;
  beside.offer(message);
  const ssize_t n = ::recvmsg(command.hand, &message, MSG_CMSG_CLOEXEC);
  if (n < 0 && errno == EINTR) return true;
  if (n <= 0) {
    ::close(command.hand);
    command.hand = -1;
    command.has_started = command.listener >= 0;
    return true;
  }
  int listener = -1;
  sandbox::take_descriptors(message, [&listener](int descriptor) { listener = descriptor; });
  if (packet[0] == 'L' && listener >= 0) {
    command.listener = listener;
    return true;
  }
  report.end = packet[0] == 'P' ? CommandEnd::kNoProgram : CommandEnd::kNoJail;
  std::memcpy(report.sentence, packet + 1, kSentenceBytes - 1);
  return false;
}

// One process more, or not.  The kernel's structures may be larger than this header's.
void answer_listener(Supervisor& command, const Settings& settings, CommandReport& report) {
  alignas(8) char asked_bytes[512] = {};
  alignas(8) char answer_bytes[512] = {};
  auto& asked = *reinterpret_cast<seccomp_notif*>(asked_bytes);
  auto& answer = *reinterpret_cast<seccomp_notif_resp*>(answer_bytes);
  if (::ioctl(command.listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) return;
  answer.id = asked.id;
  if (command.n_started < settings.n_processes) {
    ++command.n_started;
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    ++report.n_refused_processes;
    answer.error = -EAGAIN;
  }
  ::ioctl(command.listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

// Until the leader has ended, the deadline has passed, or the owner is gone.
void watch(Supervisor& command, const Settings& settings, CommandReport& report) {
  const std::int64_t until_ns =
      monotonic_ns() + static_cast<std::int64_t>(settings.wall_ms) * 1'000'000;
  for (;;) {
    const std::int64_t left_ms = (until_ns - monotonic_ns() + 999'999) / 1'000'000;
    if (left_ms <= 0) {
      report.timed_out = 1;
      return;
    }
    pollfd events[] = {{command.hand, POLLIN, 0},
                       {command.listener, POLLIN, 0},
                       {command.leader_fd, POLLIN, 0},
                       {kControlFd, POLLIN, 0}};
    if (::poll(events, 4, static_cast<int>(std::min<std::int64_t>(left_ms, 1'000'000))) < 0)
      continue;
    if (events[3].revents != 0) return;
    if (events[0].revents != 0 && !hear_child(command, report)) return;
    if ((events[1].revents & POLLIN) != 0) {
      answer_listener(command, settings, report);
    } else if (events[1].revents != 0) {  // Nobody is under the filter any more.
      ::close(command.listener);
      command.listener = -1;
    }
    // What it said on its way out has been heard first.
    if (events[2].revents != 0 && command.hand < 0) return;
  }
}

// Kills the group, which nobody can leave, and waits for all of it: orphans are this process's
// children.
int end_all(const Supervisor& command) {
  int leader_status = 0;
  ::kill(-command.leader, SIGKILL);
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, __WALL);
    if (ended == command.leader) leader_status = status;
    if (ended < 0 && errno != EINTR) return leader_status;
  }
}

bool start_child(const Settings& settings, Supervisor& command, Trouble& trouble) {
  int pair[2];
  const pid_t self = ::getpid();
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 ||
      ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return refuse(trouble, "a supervisor was refused by the system (", std::strerror(errno), ")");
  }
  command.leader = ::fork();
  if (command.leader == 0) {
    ::dup3(pair[1], kHandFd, O_CLOEXEC);
    ::syscall(SYS_close_range, kHandFd + 1, ~0U, 0);
    ::syscall(SYS_close_range, kOutputFd + 1, kHandFd - 1, 0);
    become_program(settings, self);
  }
  ::close(pair[1]);
  ::close(kOutputFd);  // Who reads the command's output shall see its end.
  command.hand = pair[0];
  if (command.leader < 0)
    return refuse(trouble, "a process was refused by the system (", std::strerror(errno), ")");
  ::setpgid(command.leader, command.leader);
  command.leader_fd = static_cast<int>(::syscall(SYS_pidfd_open, command.leader, 0));
  return command.leader_fd >= 0 ||
         refuse(trouble, "a pidfd was refused by the system (", std::strerror(errno), ")");
}

std::uint64_t children_cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto us = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

void supervise(const Settings& settings, CommandReport& report) {
  Supervisor command;
  Trouble trouble;
  if (start_child(settings, command, trouble)) {
    watch(command, settings, report);
  } else {
    report.end = CommandEnd::kNoJail;
    std::memcpy(report.sentence, trouble.text(), kSentenceBytes);
  }
  if (command.leader > 0) report.wait_status = end_all(command);
  report.cpu_us = children_cpu_us();
  if (report.end == CommandEnd::kRan && !command.has_started && report.timed_out == 0) {
    report.end = CommandEnd::kNoJail;
    refuse(trouble, "it ended while its jail was being built");
    std::memcpy(report.sentence, trouble.text(), kSentenceBytes);
  }
}

// What a jail must forbid, tried in one.
bool holds(Trouble& trouble) {
  if (::open("/", O_RDONLY | O_CLOEXEC) >= 0)
    return refuse(trouble, "Landlock lets files be opened all the same");
  return true;
}

bool enter_all_jails(Trouble& trouble) {
  int listener = -1;
  if (!be_expendable(trouble) || !drop_privileges(trouble) || !close_files({}, trouble) ||
      !holds(trouble) || !filter_calls_with_listener(command_filter(), listener, trouble)) {
    return false;
  }
  if (::socket(AF_INET, SOCK_STREAM, 0) >= 0)
    return refuse(trouble, "seccomp lets sockets be made all the same");
  return true;
}

}  // namespace

int run_command(int argc, char** argv) {
  static Settings settings;
  CommandReport report{};
  Trouble trouble;
  if (read_settings(argc, argv, settings, trouble)) {
    supervise(settings, report);
  } else {
    report.end = CommandEnd::kNoProgram;
    std::memcpy(report.sentence, trouble.text(), kSentenceBytes);
  }
  return ::write(kControlFd, &report, sizeof report) == sizeof report ? 0 : 1;
}

int probe_jail() {
  Trouble trouble;
  ControlReply reply{};
  reply.is_ok = enter_all_jails(trouble) ? 1 : 0;
  std::memcpy(reply.sentence, trouble.text(), kSentenceBytes);
  return ::write(kControlFd, &reply, sizeof reply) == sizeof reply ? 0 : 1;
}

}  // namespace hearth::sandbox

#include "sandbox/program.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "sandbox/protocol.h"
#include "sandbox/run_channel.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3: says that the memory is meant to be run.
#endif

namespace hearth::sandbox {
namespace {

constexpr int kLowestFd = 10;  // Descriptors to hand over lie above those that they become.

std::atomic<std::uint32_t> step_to_fail{0};
std::atomic<std::uint32_t> landlock_version_max{0};

bool write_all(int fd, std::span<const std::byte> bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

OwnedFd raised(OwnedFd fd) {
  return OwnedFd(fd ? ::fcntl(fd.get(), F_DUPFD_CLOEXEC, kLowestFd) : -1);
}

OwnedFd program_in_memory(std::span<const std::byte> bytes) {
  OwnedFd fd(::memfd_create("hearth_jail", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!fd) fd.reset(::memfd_create("hearth_jail", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || !write_all(fd.get(), bytes)) return {};
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return {};
  return raised(std::move(fd));
}

// Where the system runs nothing from memory (vm.memfd_noexec=2): a file without a name.
OwnedFd program_in_file(std::span<const std::byte> bytes) {
  const char* folders[] = {std::getenv("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", "/dev/shm"};
  for (const char* folder : folders) {
    if (folder == nullptr) continue;
    OwnedFd writing(::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0555));
    if (!writing || !write_all(writing.get(), bytes)) continue;
    // A file that is open for writing can't be run.
    Result<OwnedFd> reading = reopen_read_only(writing.get());
    writing.reset();
    if (reading && ::faccessat(reading->get(), "", X_OK, AT_EMPTY_PATH) == 0)
      return raised(*std::move(reading));
  }
  return {};
}

bool memory_may_run() {
  const OwnedFd fd(::open("/proc/sys/vm/memfd_noexec", O_RDONLY | O_CLOEXEC));
  char level = '0';
  return !fd || ::read(fd.get(), &level, 1) != 1 || level != '2';
}

Result<std::span<const std::byte>> built_bytes(Program program) {
  const std::span<const std::byte> bytes = program_bytes(program);
  if (!bytes.empty()) return bytes;
  return fail(Code::kUnsupported,
              "no jail can be built: this build has no worker program (it needs x86-64, and a "
              "static C library when it is configured)");
}

// A program's descriptor, made once and kept.
Result<int> program_fd(Program program) {
  static std::mutex mutex;
  static OwnedFd programs[2];
  const std::lock_guard lock(mutex);
  OwnedFd& fd = programs[static_cast<std::size_t>(program)];
  if (fd) return fd.get();
  HEARTH_TRY(const std::span<const std::byte> bytes, built_bytes(program));
  if (memory_may_run()) fd = program_in_memory(bytes);
  if (!fd) fd = program_in_file(bytes);
  if (!fd) {
    return fail(Code::kUnsupported,
                "no jail can be built: the system lets nothing be run from memory or from /tmp");
  }
  return fd.get();
}

// What posix_spawn wants, released at the end of its scope.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes_, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes_, &signals);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  int spawn(const std::string& path, std::span<const int> fds, std::vector<std::string>& words,
            char* const* environment, pid_t& pid) {
    int next = 0;
    for (const int fd : fds) posix_spawn_file_actions_adddup2(&actions_, fd, next++);
    posix_spawn_file_actions_addclosefrom_np(&actions_, next);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    return posix_spawn(&pid, path.c_str(), &actions_, &attributes_, argv.data(), environment);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

void fail_jail_step(std::uint32_t step) { step_to_fail = step; }
void limit_jail_landlock(std::uint32_t version) { landlock_version_max = version; }

Result<> write_program(Program program, const std::filesystem::path& path) {
  HEARTH_TRY(const std::span<const std::byte> bytes, built_bytes(program));
  const OwnedFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500));
  if (fd && write_all(fd.get(), bytes)) return {};
  return fail(Code::kUnavailable,
              fmt::format("'{}' can't be written ({})", path.string(), std::strerror(errno)));
}

Result<Process> Process::start(Program which, const char* mode, std::vector<std::string> arguments,
                               int fd0, int fd1, int fd2) {
  HEARTH_TRY(const int program, program_fd(which));
  std::vector<std::string> words{which == Program::kJail ? "hearth_jail" : "hearth_device", mode};
  if (step_to_fail != 0) words.push_back(fmt::format("fail={}", step_to_fail.load()));
  if (landlock_version_max != 0)
    words.push_back(fmt::format("landlock={}", landlock_version_max.load()));
  words.insert(words.end(), std::make_move_iterator(arguments.begin()),
               std::make_move_iterator(arguments.end()));
  char* environment[] = {nullptr};
  const int given[] = {fd0, fd1, fd2, program};
  return spawned("no jail can be built", fmt::format("/proc/self/fd/{}", kProgramFd), words, given,
                 environment);
}

Result<Process> Process::start_command(std::vector<std::string> words, int fd0, int fd1, int fd2) {
  const int given[] = {fd0, fd1, fd2};
  const std::string path = words.at(0);
  return spawned(path, path, words, given, environ);
}

// `what` begins the sentences of what fails.
Result<Process> Process::spawned(std::string_view what, const std::string& path,
                                 std::vector<std::string>& words, std::span<const int> given,
                                 char* const* environment) {
  std::vector<OwnedFd> high;
  std::vector<int> fds;
  for (const int fd : given) {
    fds.push_back(high.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, kLowestFd)).get());
    if (!high.back())
      return fail(Code::kUnavailable,
                  fmt::format("a descriptor was refused by the system ({})", std::strerror(errno)));
  }
  Process process;
  const int failed = SpawnPlan().spawn(path, fds, words, environment, process.pid_);
  if (failed != 0) {
    process.pid_ = -1;
    return fail(
        failed == EAGAIN || failed == ENOMEM ? Code::kUnavailable : Code::kUnsupported,
        fmt::format("{}: its program could not be started ({})", what, std::strerror(failed)));
  }
  process.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (!process.pidfd_) {
    return fail(Code::kUnsupported,
                fmt::format("{}: the system gives no pidfd ({})", what, std::strerror(errno)));
  }
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      end_code_(other.end_code_),
      end_status_(other.end_status_) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  kill();
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::move(other.pidfd_);
  end_code_ = other.end_code_;
  end_status_ = other.end_status_;
  return *this;
}

// Takes its end, if it has ended or `flags` lack WNOHANG.
void Process::reap(int flags) {
  siginfo_t info{};
  while (pid_ > 0) {
    info.si_pid = 0;
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | flags) != 0) {
      if (errno == EINTR) continue;
      pid_ = -1;  // Somebody else has reaped it: it has ended, and nobody knows how.
      return;
    }
    if (info.si_pid == 0) return;
    end_code_ = info.si_code;
    end_status_ = info.si_status;
    pid_ = -1;
  }
}

bool Process::is_alive() {
  reap(WNOHANG);
  return pid_ > 0;
}

void Process::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);  // Not reaped yet, so the number is still its own.
  reap(0);
}

Result<> Process::signal(int number) {
  if (!is_alive() || ::kill(pid_, number) != 0)
    return fail(Code::kUnavailable, "the worker has ended");
  const int awaited = number == SIGSTOP ? WSTOPPED : number == SIGCONT ? WCONTINUED : 0;
  siginfo_t info{};
  while (awaited != 0 &&
         ::waitid(P_PID, static_cast<id_t>(pid_), &info, awaited | WEXITED | WNOWAIT) != 0) {
    if (errno != EINTR) return fail(Code::kUnavailable, "the worker has ended");
  }
  if (!is_alive()) return fail(Code::kUnavailable, "the worker has ended");
  if (awaited != 0)
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, awaited | WNOHANG);  // Takes the news.
  return {};
}

std::string Process::how_it_ended() const {
  if (end_code_ == 0) return "ended";
  if (end_code_ == CLD_EXITED) return fmt::format("ended with status {}", end_status_);
  return fmt::format("was killed by signal {} ({})", end_status_, ::strsignal(end_status_));
}

Result<SocketPair> make_socket_pair() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return fail(Code::kUnavailable,
                fmt::format("a socket was refused by the system ({})", std::strerror(errno)));
  }
  return SocketPair{OwnedFd(pair[0]), OwnedFd(pair[1])};
}

bool wait_readable(int fd, int timeout_ms) {
  const std::int64_t until_ns = monotonic_ns() + std::int64_t{timeout_ms} * 1'000'000;
  for (;;) {
    const std::int64_t left_ms = (until_ns - monotonic_ns() + 999'999) / 1'000'000;
    pollfd event{fd, POLLIN, 0};
    const int n = ::poll(&event, 1, left_ms > 0 ? static_cast<int>(left_ms) : 0);
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

std::string clean_sentence(std::span<const char> text) {
  std::string clean;
  for (const char c : text) {
    if (c == 0) break;
    clean += c >= ' ' && c <= '~' ? c : '?';
  }
  return clean;
}

}  // namespace hearth::sandbox

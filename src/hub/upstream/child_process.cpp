#include "hub/upstream/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/utf8.h"

extern char** environ;

namespace hearth::hub {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLookEvery{5};

// What the child needs, made before the fork: after it nothing may be allocated.
struct Launch {
  std::vector<std::string> texts;
  std::vector<char*> argv, envp;
  int output = -1;   // The child's end of each pipe.
  int failure = -1;
  pid_t parent = 0;
};

Launch prepare(const ChildOptions& options) {
  Launch launch{.parent = ::getpid()};
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool is_replaced = std::ranges::any_of(options.environment, [&](const auto& e) { return e.first == name; });
    if (!is_replaced) environment.emplace_back(text);
  }
  for (const auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  launch.texts.push_back(options.program);
  launch.texts.insert(launch.texts.end(), options.args.begin(), options.args.end());
  const std::size_t n_args = launch.texts.size();
  launch.texts.insert(launch.texts.end(), environment.begin(), environment.end());
  for (std::size_t i = 0; i < launch.texts.size(); ++i) {
    (i < n_args ? launch.argv : launch.envp).push_back(launch.texts[i].data());
  }
  launch.argv.push_back(nullptr);
  launch.envp.push_back(nullptr);
  return launch;
}

// In the child, between fork and exec: system calls alone.
[[noreturn]] void become(const Launch& launch) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) ::_exit(127);  // It died meanwhile.
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, 0);
  ::dup2(launch.output, 1);
  ::dup2(launch.output, 2);
  ::dup2(launch.failure, 3);
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  ::syscall(SYS_close_range, 4U, ~0U, 0U);
  ::execve(launch.argv[0], launch.argv.data(), launch.envp.data());
  const int why = errno;
  [[maybe_unused]] const ssize_t written = ::write(3, &why, sizeof why);
  ::_exit(127);
}

// At least 4, out of the way of the numbers that the child gives its own.
int out_of_the_way(int fd) {
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
  ::close(fd);
  return moved;
}

struct Pipe {
  int read = -1, write = -1;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return fail(Code::kInternal, fmt::format("no pipe can be made: {}", std::strerror(errno)));
  }
  return Pipe{ends[0], out_of_the_way(ends[1])};
}

bool is_executable(const std::string& path) {
  return !path.empty() && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::string find_program(const std::string& name) {
  if (name.empty()) return "";
  if (name.find('/') != std::string::npos) return is_executable(name) ? name : "";
  const char* const list = std::getenv("PATH");
  std::string_view rest = list != nullptr ? list : "";
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    const std::string path = fmt::format("{}/{}", folder, name);
    if (folder.starts_with('/') && is_executable(path)) return path;
    rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
  }
  return "";
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(ChildOptions options) {
  Launch launch = prepare(options);
  HEARTH_TRY(const Pipe output, make_pipe());
  auto failure = make_pipe();
  if (!failure) {
    ::close(output.read);
    ::close(output.write);
    return std::unexpected(failure.error());
  }
  launch.output = output.write;
  launch.failure = failure->write;
  const pid_t pid = ::fork();
  if (pid == 0) become(launch);
  ::close(output.write);
  ::close(failure->write);
  int why = pid < 0 ? errno : 0;
  if (pid > 0 && ::read(failure->read, &why, sizeof why) <= 0) why = 0;  // Closed by exec: it runs.
  ::close(failure->read);
  if (why != 0) {
    ::close(output.read);
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    return std::unexpected(file_error("run", options.program, why));
  }
  const int wake = ::eventfd(0, EFD_CLOEXEC);
  return std::unique_ptr<ChildProcess>(
      new ChildProcess(pid, output.read, wake, std::move(options.on_silence)));
}

ChildProcess::ChildProcess(pid_t pid, int output, int wake, std::function<void()> on_silence)
    : pid_(pid), output_(output), wake_(wake), on_silence_(std::move(on_silence)),
      reader_([this] { read_output(); }) {}

ChildProcess::~ChildProcess() {
  end(milliseconds(0));
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
  reader_.join();
  ::close(output_);
  ::close(wake_);
}

bool ChildProcess::has_ended() {
  if (status_) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  status_ = status;
  ::kill(-pid_, SIGKILL);  // What it may have left behind.
  return true;
}

void ChildProcess::end(milliseconds grace) {
  if (has_ended()) return;
  if (grace > milliseconds(0)) ::kill(-pid_, SIGTERM);
  const auto until = std::chrono::steady_clock::now() + grace;
  while (std::chrono::steady_clock::now() < until) {
    if (has_ended()) return;
    std::this_thread::sleep_for(kLookEvery);
  }
  ::kill(-pid_, SIGKILL);
  int status = 0;
  if (::waitpid(pid_, &status, 0) == pid_) status_ = status;
}

std::string ChildProcess::how_it_ended() const {
  if (!status_) return "still runs";
  if (WIFSIGNALED(*status_)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(*status_), ::strsignal(WTERMSIG(*status_)));
  }
  return fmt::format("ended with status {}", WEXITSTATUS(*status_));
}

void ChildProcess::read_output() {
  pollfd waited[] = {{.fd = output_, .events = POLLIN}, {.fd = wake_, .events = POLLIN}};
  char buffer[4096];
  for (;;) {
    if (::poll(waited, 2, -1) < 0 && errno != EINTR) break;
    if (waited[1].revents != 0) return;
    if (waited[0].revents == 0) continue;
    const ssize_t n = ::read(output_, buffer, sizeof buffer);
    if (n <= 0) break;
    keep({buffer, static_cast<std::size_t>(n)});
  }
  {
    const std::lock_guard lock(mutex_);
    is_silent_ = true;
    silent_.notify_all();
  }
  if (on_silence_) on_silence_();
}

void ChildProcess::wait_for_silence(milliseconds at_most) {
  std::unique_lock lock(mutex_);
  silent_.wait_for(lock, at_most, [this] { return is_silent_; });
}

void ChildProcess::keep(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  for (const char c : bytes) {
    if (c != '\n') {
      if (line_.size() < kLogLineBytesMax) line_.push_back(c);
      continue;
    }
    lines_.push_back(std::exchange(line_, {}));
    if (lines_.size() > kLogLinesMax) lines_.pop_front();
  }
}

std::string ChildProcess::last_words(std::size_t n_lines) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string_view> last;
  if (!line_.empty()) last.push_back(line_);
  for (auto line = lines_.rbegin(); line != lines_.rend() && last.size() < n_lines; ++line) {
    if (!line->empty()) last.push_back(*line);
  }
  std::string words;
  for (auto line = last.rbegin(); line != last.rend(); ++line) {
    words += (words.empty() ? "" : " | ") + std::string(*line);
  }
  std::ranges::replace_if(words, [](unsigned char c) { return c < ' '; }, ' ');
  return sanitize_utf8(words);
}

}  // namespace hearth::hub

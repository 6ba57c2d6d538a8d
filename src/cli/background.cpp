#include "cli/background.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "cli/paths.h"

extern char** environ;

namespace hearth::cli {
namespace {

constexpr const char* kReadyVariable = "HEARTH_READY_FD";
constexpr int kReadyTimeoutMs = 60'000;
constexpr int kStopTimeoutMs = 10'000;

std::filesystem::path running_file() { return state_folder() / "hub.json"; }
std::filesystem::path log_file() { return state_folder() / "hub.log"; }

// Whether `pid` runs a program of our name: a recycled pid must not be signalled.
bool is_hearth(int pid) {
  std::error_code error;
  const auto exe = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), error);
  // After a rebuild the kernel appends " (deleted)" to the old program's path.
  return !error && exe.filename().string().starts_with("hearth");
}

// The path of this program, so that the hub goes by its name in lists of processes; the kernel's
// link where the file has been replaced since.
std::string own_program() {
  constexpr const char* kLink = "/proc/self/exe";
  std::error_code error;
  const auto path = std::filesystem::read_symlink(kLink, error);
  return !error && std::filesystem::exists(path, error) ? path.string() : kLink;
}

// The child's descriptors: no input, log for both outputs, the pipe at its own number.
Result<int> spawn_serve(std::vector<std::string> args, int ready_fd) {
  std::error_code error;
  std::filesystem::create_directories(state_folder(), error);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_file().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);

  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);

  ::setenv(kReadyVariable, fmt::format("{}", ready_fd).c_str(), 1);
  pid_t pid = 0;
  const int failed =
      posix_spawn(&pid, own_program().c_str(), &actions, &attributes, argv.data(), environ);
  ::unsetenv(kReadyVariable);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    return fail(Code::kInternal, fmt::format("cannot start the hub: {}", std::strerror(failed)));
  }
  return pid;
}

// The last line of the child's log: its own reason for ending.
std::string last_words() {
  std::string text = read_file(log_file()).value_or("");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  text = text.substr(text.rfind('\n') + 1);
  constexpr std::string_view kPrefix = "hearth: ";
  return text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : text;
}

// Reads the URL that the child announces; empty if it died or took too long.
std::string read_announcement(int fd) {
  std::string text;
  struct pollfd waited {fd, POLLIN, 0};
  while (::poll(&waited, 1, kReadyTimeoutMs) > 0) {
    char buffer[256];
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return "";
    text.append(buffer, static_cast<std::size_t>(n));
    if (const auto end = text.find('\n'); end != std::string::npos) return text.substr(0, end);
  }
  return "";
}

}  // namespace

Result<RunningHub> start_background(const std::string& config_path, const std::vector<std::string>& serve_args) {
  std::vector<std::string> args = {"hearth", "--config", config_path, "serve"};
  args.insert(args.end(), serve_args.begin(), serve_args.end());
  int ends[2];
  if (::pipe(ends) != 0) return fail(Code::kInternal, fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  const auto pid = spawn_serve(std::move(args), ends[1]);
  ::close(ends[1]);
  const std::string url = pid ? read_announcement(ends[0]) : "";
  ::close(ends[0]);
  if (!pid) return std::unexpected(pid.error());
  if (url.empty()) {
    ::kill(*pid, SIGTERM);
    ::waitpid(*pid, nullptr, 0);
    return fail(Code::kUnavailable, last_words());
  }
  return RunningHub{*pid, url};
}

Result<> announce_running(const std::string& url) {
  const nlohmann::json record = {{"pid", ::getpid()}, {"url", url}};
  HEARTH_TRY_VOID(write_file_atomic(running_file(), record.dump() + "\n"));
  const char* variable = std::getenv(kReadyVariable);
  if (variable == nullptr) return {};
  const int fd = static_cast<int>(std::strtol(variable, nullptr, 10));
  const std::string line = url + "\n";
  const ssize_t written = ::write(fd, line.data(), line.size());
  ::close(fd);
  if (written != static_cast<ssize_t>(line.size())) {
    return fail(Code::kInternal, "cannot tell the starting process that the hub is ready");
  }
  return {};
}

void retract_running() {
  const auto hub = find_running();
  std::error_code ignored;
  if (hub && hub->pid == ::getpid()) std::filesystem::remove(running_file(), ignored);
}

Result<RunningHub> find_running() {
  const auto none = [] { return fail(Code::kNotFound, "no hub is running; start one with `hearth serve`"); };
  const auto text = read_file(running_file());
  if (!text) return none();
  const auto record = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!record.is_object() || !record.contains("pid") || !record["pid"].is_number_integer() ||
      !record.contains("url") || !record["url"].is_string()) {
    return none();
  }
  const RunningHub hub{record["pid"].get<int>(), record["url"].get<std::string>()};
  if (hub.pid <= 0 || ::kill(hub.pid, 0) != 0 || !is_hearth(hub.pid)) return none();
  return hub;
}

Result<> stop_running(const RunningHub& hub) {
  if (::kill(hub.pid, SIGTERM) != 0) {
    return std::unexpected(file_error("stop the hub with process id", std::to_string(hub.pid), errno));
  }
  for (int waited_ms = 0; waited_ms < kStopTimeoutMs; waited_ms += 20) {
    if (::kill(hub.pid, 0) != 0 || !is_hearth(hub.pid)) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return fail(Code::kUnavailable, fmt::format("the hub (process {}) has not stopped within {} s", hub.pid,
                                              kStopTimeoutMs / 1000));
}

}  // namespace hearth::cli

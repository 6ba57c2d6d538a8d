// Another program, started, watched and ended by this one.
//
// It lives in a process group of its own, so that a terminal's Ctrl-C is this program's to handle and
// that what it starts itself goes with it; and the kernel kills it when the thread that started it
// ends, so that it never outlives the hub, however that dies.  What it prints is kept, the last
// lines of it, since they are the best explanation of its end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::hub {

struct ChildOptions {
  std::string program;            // A path.
  std::vector<std::string> args;  // Without the program's name.
  std::vector<std::pair<std::string, std::string>> environment;  // Beside this program's own.
  std::function<void()> on_silence;  // Its outputs are closed: it has ended, or will.  On a thread of its own.
};

// Threading: start(), has_ended() and end() by one thread, which outlives it; the rest by any.
class ChildProcess {
 public:
  static constexpr std::size_t kLogLinesMax = 64;
  static constexpr std::size_t kLogLineBytesMax = 400;

  // kNotFound or kPermissionDenied for a program that can't be run.
  static Result<std::unique_ptr<ChildProcess>> start(ChildOptions options);
  ~ChildProcess();  // Kills what still runs.
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool has_ended();
  // Asks it to end, and kills it once `grace` is over.
  void end(std::chrono::milliseconds grace);

  // Waits until all that it printed is read, at most so long: what it started may keep its outputs open.
  void wait_for_silence(std::chrono::milliseconds at_most);
  // "ended with status 1", "was killed by signal 9 (Killed)"; once it has ended.
  std::string how_it_ended() const;
  // Its last lines of at most `n_lines`, joined; valid UTF-8.
  std::string last_words(std::size_t n_lines) const;

 private:
  ChildProcess(pid_t pid, int output, int wake, std::function<void()> on_silence);
  void read_output();
  void keep(std::string_view bytes);

  const pid_t pid_;
  const int output_, wake_;  // Descriptors.
  const std::function<void()> on_silence_;
  std::optional<int> status_;  // Of waitpid.

  mutable std::mutex mutex_;  // Guards what follows.
  std::deque<std::string> lines_;
  std::string line_;
  bool is_silent_ = false;
  std::condition_variable silent_;

  std::thread reader_;  // Last: it uses all of the above.
};

// Where a program is: its own path if it has one, else in $PATH; empty if it is not there.
std::string find_program(const std::string& name);

}  // namespace hearth::hub

// What the sandbox's tests share: folders, memory, images, and running a test as an ordinary user,
// too.
#pragma once

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "sandbox/jailed_command.h"
#include "sandbox/owned_fd.h"
#include "sandbox/program.h"
#include "sandbox/test_support/attempts.h"
#include "sandbox/worker.h"
#include "sandbox/worker/filters.h"

#ifndef HEARTH_ATTEMPTS_PLAIN  // A build without the jailed program: its tests skip themselves.
#define HEARTH_ATTEMPTS_PLAIN ""
#define HEARTH_ATTEMPTS_CONSTRUCTOR ""
#define HEARTH_ATTEMPTS_THREAD_LOCAL ""
#define HEARTH_ATTEMPTS_UNDEFINED ""
#define HEARTH_ATTEMPTS_BSS ""
#define HEARTH_COMMAND_ATTEMPTS ""
#endif

namespace hearth::sandbox {

inline constexpr unsigned kNobody = 65534;

// The value, or the end of the test program with the reason.
template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "unexpected: %s\n", result.error().message.c_str());
    std::abort();
  }
  return *std::move(result);
}

inline void must(Result<> result) {
  if (result) return;
  std::fprintf(stderr, "unexpected: %s\n", result.error().message.c_str());
  std::abort();
}

// A folder of the calling user's, open to all.
class TempFolder : public hearth::TempFolder {
 public:
  TempFolder() : hearth::TempFolder("sandbox") {
    std::filesystem::permissions(path(), std::filesystem::perms{0755});
  }
};

// Runs `body` as who runs the tests and, if that is root, in a child as nobody.
inline void as_every_user(const std::function<void()>& body) {
  body();
  if (::geteuid() != 0 || ::testing::Test::HasFatalFailure()) return;
  std::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(3);
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // Lost with root; without it /proc/self is not its own.
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "as nobody: wait status " << status;
}

// Shared memory that this process has mapped.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : bytes_(bytes), fd_(must(make_shared_memory("test", bytes))) {
    at_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  }
  ~Memory() { ::munmap(at_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  template <class T>
  T* as() {
    return static_cast<T*>(at_);
  }
  int fd() const { return fd_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  OwnedFd fd_;
  void* at_;
};

inline OwnedFd sealed(std::string_view bytes) {
  return must(make_sealed_memory("image", std::as_bytes(std::span(bytes))));
}
inline OwnedFd sealed_file(const char* path) { return sealed(must(read_file(path))); }

inline Deadline in_seconds(double seconds) {
  return Deadline::clock::now() +
         std::chrono::duration_cast<Deadline::duration>(std::chrono::duration<double>(seconds));
}

// A run of test_support/attempts.cpp.
struct RunOf {
  RunRequest request{};

  explicit RunOf(Attempt attempt, std::initializer_list<std::int64_t> integers = {}) {
    request.n_integers = 16;
    request.integers[0] = static_cast<std::int64_t>(attempt);
    std::copy(integers.begin(), integers.end(), request.integers + 1);
    request.n_reals = 2;
  }
  RunOf& with(std::uint32_t mapping, std::uint64_t offset = 0) {
    request.buffers[request.n_buffers++] = {mapping, 0, offset};
    return *this;
  }
  RunOf& with_real(double value) {
    request.reals[0] = value;
    return *this;
  }
};

// A worker with the test kernel and a page to write to.
struct Bench {
  Worker worker;
  std::uint32_t kernel;
  Memory memory{1 << 16};
  std::uint32_t page;

  explicit Bench(WorkerLimits limits = {})
      : worker(must(Worker::start(limits))),
        kernel(must(worker.load(sealed_file(HEARTH_ATTEMPTS_PLAIN).get()))),
        page(must(worker.map(memory.fd(), 0, memory.bytes(), Access::kWrite))) {}

  RunOutcome run(RunOf run, double seconds = 20) {
    run.request.kernel = kernel;
    if (run.request.n_buffers == 0) run.with(page);
    return must(worker.run(run.request, in_seconds(seconds)));
  }
};

// What becomes of a system call (its number, then its arguments) in a child under `filter`: 0, the
// number of an error, or kTold if it ended the child with a SIGSYS.
inline constexpr int kTold = -1;
inline int fate_of(Filter filter, const std::array<long, 7>& words) {
  constexpr int kNoFilter = 255;
  const pid_t child = ::fork();
  if (child == 0) {
    const sock_fprog program = filter.program();
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) ::_exit(kNoFilter);
    const long result =
        ::syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
    const int error = result == -1 ? errno : 0;
    for (;;) ::syscall(SYS_exit_group, error);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) || WTERMSIG(status) == SIGSYS) << "wait status " << status;
  if (!WIFEXITED(status)) return kTold;
  EXPECT_NE(WEXITSTATUS(status), kNoFilter);
  return WEXITSTATUS(status);
}

// Has the system refuse each step of a jail in turn, of which there have to be `n_steps` or more:
// there is no worker, and `sentence` begins why.
inline void expect_to_fail_closed(const WorkerLimits& limits, std::string_view sentence,
                                  std::uint32_t n_steps) {
  std::uint32_t step = 1;
  for (;; ++step) {
    fail_jail_step(step);
    const Result<Worker> worker = Worker::start(limits);
    fail_jail_step(0);
    if (worker) break;
    EXPECT_EQ(worker.error().code, Code::kUnsupported) << step << ": " << worker.error().message;
    EXPECT_TRUE(worker.error().message.starts_with(sentence)) << worker.error().message;
    ASSERT_LT(step, 100U);
  }
  EXPECT_GT(step, n_steps);
}

// Skips where the kernel or the build has no jails; where they can be had, they have to work.
class JailTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Result<> works = jail_works();
    const bool has_landlock =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1 /* version */) >= 1;
    if (!has_landlock || program_bytes(Program::kJail).empty()) GTEST_SKIP() << works.error().message;
    ASSERT_TRUE(works) << works.error().message;
  }
};

}  // namespace hearth::sandbox

// The jail around a worker, seen from outside: what each of its threads and descriptors may, how it
// begins, and that nothing is left of it, however it ends.
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include <array>
#include <fstream>
#include <thread>

#include "sandbox/program.h"
#include "sandbox/protocol.h"
#include "sandbox/test_support/jail_fixture.h"
#include "sandbox/worker/filters.h"

namespace hearth::sandbox {
namespace {

using WorkerJailTest = JailTest;

int count_entries(const char* folder) {
  return static_cast<int>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// A kernel can reach what the control thread can, by its memory: so the descriptor itself has to be
// read-only.
TEST_F(WorkerJailTest, ADescriptorForReadingCanNotBeMappedForWriting) {
  as_every_user([] {
    Memory input(4096);
    const OwnedFd read_only = must(reopen_read_only(input.fd()));
    EXPECT_EQ(::fcntl(read_only.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, read_only.get(), 0),
              MAP_FAILED);
    void* at = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, read_only.get(), 0);
    ASSERT_NE(at, MAP_FAILED);
    EXPECT_NE(::mprotect(at, 4096, PROT_READ | PROT_WRITE), 0);
    ::munmap(at, 4096);
  });
}

// The lines of /proc/PID/smaps from the one with `name` to its flags: "mw" among them means that it
// may be made writable.
std::string map_flags(pid_t pid, const std::string& name) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  bool is_it = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find(name) != std::string::npos) is_it = true;
    if (is_it && line.rfind("VmFlags:", 0) == 0) return line;
  }
  return {};
}

TEST_F(WorkerJailTest, InputsArriveByADescriptorForReading) {
  as_every_user([] {
    Worker worker = must(Worker::start({}));
    const OwnedFd input = must(make_shared_memory("only_read", 8192)),
                  output = must(make_shared_memory("written", 8192));
    must(worker.map(input.get(), 0, 8192, Access::kRead));
    must(worker.map(output.get(), 0, 8192, Access::kWrite));
    const std::string read = map_flags(worker.pid(), "only_read"),
                      written = map_flags(worker.pid(), "written");
    EXPECT_NE(read.find(" mr"), std::string::npos) << read;
    EXPECT_EQ(read.find(" mw"), std::string::npos) << read;
    EXPECT_NE(written.find(" mw"), std::string::npos) << written;
  });
}

TEST_F(WorkerJailTest, EveryThreadIsJailed) {
  as_every_user([] {
    // A descriptor without O_CLOEXEC, as libraries leave them, and none of the lowest.
    const OwnedFd leaked(::fcntl(must(make_shared_memory("leaked", 4096)).get(), F_DUPFD, 50));
    const Worker worker = must(Worker::start({.n_threads = 3}));
    const std::string folder = "/proc/" + std::to_string(worker.pid());
    int n_threads = 0;
    for (const auto& thread : std::filesystem::directory_iterator(folder + "/task")) {
      ++n_threads;
      const std::string status = must(read_file(thread.path() / "status"));
      for (const char* line : {"CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
                               "NoNewPrivs:\t1\n", "Seccomp:\t2\n"}) {
        EXPECT_NE(status.find(line), std::string::npos) << line << status;
      }
    }
    EXPECT_EQ(n_threads, 4);  // Three for kernels, one for the socket.
    EXPECT_EQ(must(read_file(folder + "/oom_score_adj")), "1000\n");
    EXPECT_EQ(count_entries((folder + "/fd").c_str()), 2);  // The socket and the lifeline.
  });
}

// The filter of the thread that a kernel could hijack, tried in a child that has nothing else.
TEST_F(WorkerJailTest, TheControlThreadMayLittleMore) {
  struct Call {
    std::array<long, 7> words;
    bool allowed;
  };
  constexpr long kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
  const Call calls[] = {
      {{SYS_mmap, 0, 4096, PROT_NONE, kPrivate | MAP_NORESERVE, -1, 0}, true},
      {{SYS_mmap, 0, 4096, PROT_READ, kPrivate | MAP_FIXED_NOREPLACE, -1, 0}, true},
      {{SYS_mmap, 0, 4096, PROT_READ, kPrivate | MAP_FIXED, -1, 0}, false},
      {{SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0}, false},
      {{SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, 9, 0}, true},
      {{SYS_mmap, 0, 4096, PROT_READ, kPrivate | MAP_GROWSDOWN, -1, 0}, false},
      {{SYS_mmap, 0, 4096, PROT_READ, kPrivate | MAP_HUGETLB, -1, 0}, false},
      {{SYS_munmap, 0, 4096}, true},
      {{SYS_mprotect, 0, 4096, PROT_READ}, true},
      {{SYS_mprotect, 0, 4096, PROT_READ | PROT_WRITE}, false},
      {{SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC}, false},
      {{SYS_recvmsg, kControlFd, 0, 0}, true},
      {{SYS_recvmsg, 4, 0, 0}, false},
      {{SYS_sendmsg, kControlFd, 0, 0}, false},
      {{SYS_write, kControlFd, 0, 0}, true},
      {{SYS_write, 4, 0, 0}, false},
      {{SYS_close, 4}, true},
      {{SYS_close, kControlFd}, false},
      {{SYS_close, kLifelineFd}, false},
      {{SYS_fcntl, kLifelineFd, F_SETFL, 0}, false},
      {{SYS_openat, -100, 0, 0}, false},
      {{SYS_clone, SIGCHLD}, false},
      {{SYS_futex, 0, FUTEX_WAKE, 0}, true},
      {{SYS_futex, 0, FUTEX_LOCK_PI, 0}, false},
      {{SYS_rt_sigaction, SIGSEGV}, false},
  };
  for (const Call& call : calls) {
    EXPECT_EQ(fate_of(control_thread_filter(), call.words) != kTold, call.allowed)
        << call.words[0] << ' ' << call.words[1] << ' ' << call.words[4];
  }
}

std::int64_t mapped_pages() {
  std::int64_t pages = 0;
  std::sscanf(must(read_file("/proc/self/statm")).c_str(), "%ld", &pages);
  return pages;
}

TEST_F(WorkerJailTest, WorkersKilledAtAnyMomentLeaveNothing) {
  as_every_user([] {
    { Bench warm; }
    const int n_descriptors = count_entries("/proc/self/fd");
    std::int64_t n_pages = 0;
    std::uint32_t seed = 7;
    for (int i = 0; i < 70; ++i) {
      if (i == 20) n_pages = mapped_pages();
      Bench bench({.n_threads = 1 + static_cast<std::uint32_t>(i % 3)});
      std::jthread killer(
          [pid = bench.worker.pid(), wait = (seed = seed * 1664525 + 1013904223) >> 16] {
            for (std::uint32_t spin = 0; spin < wait; ++spin) spin_pause();
            ::kill(pid, SIGKILL);  // Not reaped before the thread has ended.
          });
      for (int run = 0; run < 100'000; ++run) {
        RunOf work(run % 2 != 0 ? Attempt::kParallelSquares : Attempt::kCount, {100});
        work.with(bench.page).request.kernel = bench.kernel;
        const auto outcome = bench.worker.run(work.request, in_seconds(20));
        EXPECT_TRUE(!outcome || outcome->end != RunEnd::kDeadline);
        if (!outcome || !outcome->worker_lives) break;
        if (run % 16 != 0) continue;
        const auto mapping = bench.worker.map(bench.memory.fd(), 0, 4096, Access::kRead);
        if (!mapping || !bench.worker.unmap(*mapping)) break;
      }
      EXPECT_FALSE(bench.worker.is_alive());
      killer.join();
    }
    EXPECT_EQ(count_entries("/proc/self/fd"), n_descriptors);
    EXPECT_LE(mapped_pages(), n_pages + 24);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  });
}

TEST_F(WorkerJailTest, AWorkerEndsWithItsOwner) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);  // The orphan shall be this process's.
  int report[2];
  ASSERT_EQ(::pipe(report), 0);
  const pid_t owner = ::fork();
  if (owner == 0) {
    Bench bench;
    RunOf run(Attempt::kLoop);
    run.with(bench.page).request.kernel = bench.kernel;
    ask(bench.worker.channel(), run.request);
    const pid_t pid = bench.worker.pid();
    (void)!::write(report[1], &pid, sizeof pid);
    for (;;) ::pause();
  }
  pid_t worker = 0;
  ASSERT_EQ(::read(report[0], &worker, sizeof worker), static_cast<ssize_t>(sizeof worker));
  ::kill(owner, SIGKILL);
  ASSERT_EQ(::waitpid(owner, nullptr, 0), owner);
  // By the end of the control socket or of the lifeline, whichever the kernel closes first.
  const std::int64_t until_ns = monotonic_ns() + 20'000'000'000;
  pid_t ended = 0;
  while (ended == 0 && monotonic_ns() < until_ns) {
    std::this_thread::yield();
    ended = ::waitpid(worker, nullptr, WNOHANG);
  }
  EXPECT_EQ(ended, worker);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  ::close(report[0]);
  ::close(report[1]);
}

// Whichever step the system refuses, there is no worker, and the reason is told.
TEST_F(WorkerJailTest, ThereIsNoWorkerWhereAStepOfTheJailFails) {
  as_every_user([] { expect_to_fail_closed({.n_threads = 2}, "no jail can be built", 13); });
}

}  // namespace
}  // namespace hearth::sandbox

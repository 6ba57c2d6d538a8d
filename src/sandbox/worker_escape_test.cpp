// Kernels that mean harm: each attempt ends the run, is told for what it was, and leaves the owner
// well.
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include <array>

#include "sandbox/test_support/jail_fixture.h"

namespace hearth::sandbox {
namespace {

using EscapeTest = JailTest;

// Where memory was touched that the kernel may not touch.
struct Fault {
  int signal;
  std::uint32_t mapping;
  std::int64_t offset;
  friend bool operator==(const Fault&, const Fault&) = default;
};

void expect_fault(const RunOutcome& outcome, const Fault& expected) {
  EXPECT_EQ(outcome.end, RunEnd::kFault) << outcome.sentence();
  EXPECT_FALSE(outcome.worker_lives);
  const Fault found{outcome.answer.signal, outcome.answer.fault_mapping,
                    outcome.answer.fault_offset};
  EXPECT_TRUE(found == expected) << outcome.sentence();
}

// By number and arguments, with the test's own process as the victim: without the filter each would
// do something, and some would end the test.
TEST_F(EscapeTest, EverySystemCallIsToldAndRefused) {
  as_every_user([] {
    const std::int64_t self = ::getpid();
    const std::int64_t path =
        0x2f;  // No kernel has strings at known places; the filter looks at numbers alone.
    const std::array<std::int64_t, 4> calls[] = {
        {SYS_open, path, O_RDONLY},
        {SYS_openat, -100, path},
        {SYS_openat2, -100, path},
        {SYS_creat, path, 0},
        {SYS_read, 0, 0},
        {SYS_write, 0, 0},
        {SYS_recvmsg, 0, 0},
        {SYS_sendmsg, 0, 0},
        {SYS_ioctl, 0, 0},
        {SYS_socket, 2, 1},
        {SYS_connect, 0, 0},
        {SYS_socketpair, 1, 1},
        {SYS_fork},
        {SYS_vfork},
        {SYS_clone, SIGCHLD},
        {SYS_clone3, 0, 0},
        {SYS_execve, path},
        {SYS_execveat, 0, path},
        {SYS_ptrace, 16, self},
        {SYS_process_vm_readv, self},
        {SYS_process_vm_writev, self},
        {SYS_kill, self, SIGKILL},
        {SYS_tgkill, self, self, SIGKILL},
        {SYS_tkill, self, SIGKILL},
        {SYS_rt_sigqueueinfo, self, SIGKILL},
        {SYS_pidfd_open, self},
        {SYS_pidfd_send_signal, 0, SIGKILL},
        {SYS_fcntl, 1, F_SETOWN, self},
        {SYS_mmap, 0, 1 << 20, 3},
        {SYS_munmap, 0, 4096},
        {SYS_mremap, 0, 4096},
        {SYS_mprotect, 0, 4096, 7},
        {SYS_brk, 0},
        {SYS_madvise, 0, 4096},
        {SYS_shmget, 0, 4096},
        {SYS_memfd_create, path, 0},
        {SYS_userfaultfd, 0},
        {SYS_prctl, 38},
        {SYS_seccomp, 0},
        {SYS_arch_prctl, 0x1002},
        {SYS_rt_sigaction, 11},
        {SYS_rt_sigprocmask, 0},
        {SYS_sigaltstack, 0},
        {SYS_prlimit64, self},
        {SYS_setuid, 0},
        {SYS_capset, 0},
        {SYS_unshare, 0x10000000},
        {SYS_mount, path},
        {SYS_ptrace, 0},
        {SYS_io_uring_setup, 1},
        {SYS_bpf, 0},
        {SYS_perf_event_open, 0},
        {SYS_keyctl, 0},
        {SYS_getpid},
        {SYS_clock_gettime, 1, 0},
        {SYS_nanosleep, 0},
        {SYS_timer_create, 0},
        {SYS_setitimer, 0},
        {SYS_sched_setaffinity, self},
        {SYS_close, 0},
        {SYS_close, 1},
        {SYS_dup2, 0, 1},
        {SYS_exit, 0},
        // Futexes that do more than wait and wake.
        {SYS_futex, path, 6 /* LOCK_PI */},
        {SYS_futex, path, 3 /* REQUEUE */},
    };
    for (const auto& call : calls) {
      Bench bench;
      const RunOutcome outcome =
          bench.run(RunOf(Attempt::kCallSystem, {call[0], call[1], call[2], call[3]}));
      EXPECT_EQ(outcome.end, RunEnd::kFault) << call[0];
      EXPECT_EQ(outcome.answer.signal, SIGSYS) << call[0];
      EXPECT_EQ(outcome.answer.system_call, call[0]);
      EXPECT_FALSE(outcome.worker_lives);
      EXPECT_FALSE(bench.worker.is_alive());
    }
  });
}

TEST_F(EscapeTest, SystemCallsOfOtherKindsEndIt) {
  Bench through_32_bits;
  EXPECT_EQ(through_32_bits.run(RunOf(Attempt::kCallSystem32)).end, RunEnd::kDied);
  EXPECT_NE(through_32_bits.worker.how_it_ended().find("signal 31"), std::string::npos);
  Bench through_x32;
  EXPECT_EQ(through_x32.run(RunOf(Attempt::kCallSystem, {0x40000000 | SYS_getpid})).end,
            RunEnd::kDied);
  Bench on_a_helper({.n_threads = 4});
  const RunOutcome outcome = on_a_helper.run(RunOf(Attempt::kParallelCallSystem, {SYS_getpid}));
  EXPECT_EQ(outcome.answer.system_call, static_cast<std::uint32_t>(SYS_getpid))
      << outcome.sentence();
}

TEST_F(EscapeTest, GuardsStandBeforeAndBehindABuffer) {
  as_every_user([] {
    constexpr std::int64_t kBytes = 1 << 16, kFar = static_cast<std::int64_t>(kGuardBytes);
    for (const std::int64_t offset :
         {std::int64_t{-1}, kBytes, -kFar, kBytes + kFar - 1, std::int64_t{-4096}}) {
      Bench bench;
      expect_fault(bench.run(RunOf(Attempt::kWriteByte, {offset})), {SIGSEGV, bench.page, offset});
      Bench reader;
      expect_fault(reader.run(RunOf(Attempt::kReadByte, {offset, 0})),
                   {SIGSEGV, reader.page, offset});
    }
    Bench bench;
    EXPECT_EQ(bench.run(RunOf(Attempt::kWriteByte, {0})).end, RunEnd::kDone);
    EXPECT_EQ(bench.run(RunOf(Attempt::kWriteByte, {kBytes - 1})).end, RunEnd::kDone);
    EXPECT_NE(
        bench.run(RunOf(Attempt::kWriteByte, {kBytes})).sentence().find("byte 65536 of mapping 0"),
        std::string::npos);
  });
}

TEST_F(EscapeTest, InputsCanNotBeWritten) {
  as_every_user([] {
    Memory input(8192);
    input.as<char>()[5000] = 7;
    Bench bench;
    const std::uint32_t mapping = must(bench.worker.map(input.fd(), 0, 8192, Access::kRead));
    expect_fault(bench.run(RunOf(Attempt::kWriteByte, {5000}).with(mapping)),
                 {SIGSEGV, mapping, 5000});
    EXPECT_EQ(input.as<char>()[5000], 7);
  });
}

TEST_F(EscapeTest, FaultsOfEveryKindAreTold) {
  const std::pair<Attempt, int> faults[] = {
      {Attempt::kDivideByZero, SIGFPE}, {Attempt::kBadInstruction, SIGILL},
      {Attempt::kBreakpoint, SIGTRAP},  {Attempt::kRecurse, SIGSEGV},
      {Attempt::kReadClock, SIGSEGV},   {Attempt::kParallelFault, SIGSEGV},
  };
  for (const auto& [attempt, signal] : faults) {
    Bench bench({.n_threads = 3});
    const RunOutcome outcome = bench.run(RunOf(attempt));
    EXPECT_EQ(outcome.end, RunEnd::kFault) << signal << ": " << outcome.sentence();
    EXPECT_EQ(outcome.answer.signal, signal);
    EXPECT_EQ(outcome.answer.fault_mapping, kNoMapping);
  }
}

// A file that its owner cuts while the kernel reads it: the kernel's end, nobody else's.
TEST_F(EscapeTest, MemoryThatIsCutIsABusError) {
  OwnedFd file(::memfd_create("cut", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 8192), 0);
  Bench bench;
  const std::uint32_t mapping = must(bench.worker.map(file.get(), 0, 8192, Access::kWrite));
  ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
  expect_fault(bench.run(RunOf(Attempt::kWriteByte, {6000}).with(mapping)),
               {SIGBUS, mapping, 6000});
}

TEST_F(EscapeTest, FloatingPointStateDoesNotOutliveARun) {
  constexpr std::int64_t kClean = 0x1F80 | std::int64_t{0x037F} << 16;
  for (const std::uint32_t n_threads : {1U, 4U}) {
    Bench bench({.n_threads = n_threads});
    auto* noted = bench.memory.as<std::int64_t>();
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(bench.run(RunOf(Attempt::kPoisonFloats)).end, RunEnd::kDone);
      ASSERT_EQ(bench.run(RunOf(Attempt::kNoteFloats)).end, RunEnd::kDone);
      ASSERT_EQ(noted[0], kClean);
      // The first task of each thread finds it clean; the last poisons it for the same thread's
      // next.
      noted[0] = 0;
      ASSERT_EQ(bench.run(RunOf(Attempt::kParallelNoteFloats, {2})).end, RunEnd::kDone);
      ASSERT_EQ(noted[0], kClean);
    }
    ASSERT_EQ(bench.run(RunOf(Attempt::kBackwards)).end, RunEnd::kDone);
    ASSERT_EQ(bench.run(RunOf(Attempt::kMath).with_real(1)).end, RunEnd::kDone);
  }
}

TEST_F(EscapeTest, EndlessLoopsEndAtTheDeadline) {
  for (const Attempt attempt : {Attempt::kLoop, Attempt::kFakeAnswer, Attempt::kScribble}) {
    Bench bench;
    const RunOutcome outcome = bench.run(RunOf(attempt), 0.02);
    if (attempt == Attempt::kLoop) {
      EXPECT_EQ(outcome.end, RunEnd::kDeadline);
      EXPECT_FALSE(bench.worker.is_alive());
    }
    // Who fakes an answer has not given up running: stopping it works all the same, and so does
    // ending it.
    if (bench.worker.is_alive()) {
      EXPECT_TRUE(bench.worker.stop_process());
    }
    bench.worker.kill();
    EXPECT_FALSE(bench.worker.is_alive());
    EXPECT_EQ(bench.worker.run(RunRequest{}, in_seconds(1)).error().code, Code::kUnavailable);
  }
}

// Whatever stands in the channel, the owner reads values in their ranges, and does not wait for
// ever.
TEST_F(EscapeTest, AScribbledChannelHarmsNobody) {
  for (const std::int64_t byte : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
    Bench bench;
    for (int i = 0; i < 3 && bench.worker.is_alive(); ++i) {
      const RunOutcome outcome = bench.run(RunOf(Attempt::kScribbleOnce, {byte}), 0.02);
      EXPECT_LE(static_cast<std::uint32_t>(outcome.answer.status), kRunStatuses);
      EXPECT_FALSE(outcome.sentence().empty());
    }
  }
  Bench bench;
  (void)bench.run(RunOf(Attempt::kScribble), 0.01);
  for (int i = 0; i < 10'000; ++i) (void)read_answer(bench.worker.channel());
}

TEST_F(EscapeTest, MemoryIsBounded) {
  as_every_user([] {
    // A gigabyte of zeros in the image, in a worker that may have less.
    Worker small = must(Worker::start({.memory_bytes = std::uint64_t{64} << 20}));
    const OwnedFd image = sealed_file(HEARTH_ATTEMPTS_BSS);
    const auto refused = small.load(image.get());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("memory_bytes"), std::string::npos)
        << refused.error().message;
    EXPECT_TRUE(small.load(sealed_file(HEARTH_ATTEMPTS_PLAIN).get()));
    Worker large = must(Worker::start({.memory_bytes = std::uint64_t{1100} << 20}));
    EXPECT_TRUE(large.load(image.get()));
    EXPECT_FALSE(large.load(image.get()));
  });
}

TEST_F(EscapeTest, ImagesThatRunCodeWhileLoadingAreRefused) {
  Worker worker = must(Worker::start({}));
  const std::pair<const char*, const char*> images[] = {
      {HEARTH_ATTEMPTS_CONSTRUCTOR, "constructors"},
      {HEARTH_ATTEMPTS_THREAD_LOCAL, "thread-local"},
      {HEARTH_ATTEMPTS_UNDEFINED, "'no_such_function', which kernels don't have"},
  };
  for (const auto& [path, reason] : images) {
    const auto refused = worker.load(sealed_file(path).get());
    ASSERT_FALSE(refused) << path;
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    EXPECT_NE(refused.error().message.find(reason), std::string::npos) << refused.error().message;
  }
  EXPECT_FALSE(worker.load(sealed("#!/bin/sh\n").get()));
  OwnedFd unsealed(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), 4096), 0);
  EXPECT_NE(worker.load(unsealed.get()).error().message.find("sealed"), std::string::npos);
  EXPECT_TRUE(worker.is_alive());
}

// In the worker itself, with the kernel's own loading behind it: nothing but a sentence, or a
// kernel.
TEST_F(EscapeTest, DamagedImagesHarmNobody) {
  const std::string good = must(read_file(HEARTH_ATTEMPTS_PLAIN));
  Worker worker = must(Worker::start({}));
  std::uint32_t seed = 1;
  for (int i = 0; i < 400; ++i) {
    std::string bad = good;
    for (int k = 0; k < 1 + i % 4; ++k) {
      seed = seed * 1664525 + 1013904223;
      // Most of what matters lies in the headers and the dynamic section.
      const std::size_t at = (seed >> 8) % (k % 2 == 0 ? 0x340 : bad.size());
      bad[at] = static_cast<char>(seed >> 3);
    }
    if (const auto kernel = worker.load(sealed(bad).get())) {
      ASSERT_TRUE(worker.drop(*kernel));
    }
    ASSERT_TRUE(worker.is_alive()) << "image " << i;
  }
}

}  // namespace
}  // namespace hearth::sandbox

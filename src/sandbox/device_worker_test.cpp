// The worker of devices, with a driver of the test's own: what its filter lets through, that it fails
// closed, and that nothing of it is left.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <iterator>

#include "sandbox/protocol.h"
#include "sandbox/test_support/jail_fixture.h"
#include "sandbox/worker/filters.h"

#ifndef HEARTH_FAKE_CUDA  // A build without the jailed programs.
#define HEARTH_FAKE_CUDA ""
#endif

namespace hearth::sandbox {
namespace {

class DeviceWorkerTest : public JailTest {};

WorkerLimits fake_gpu() { return {.kind = WorkerKind::kCuda, .library = HEARTH_FAKE_CUDA}; }

enum class Fate { kAllowed, kRefused, kTold };

// What becomes of a system call in a child under the filter.
Fate fate_of(const std::array<long, 4>& words, bool is_gpu) {
  const pid_t child = ::fork();
  if (child == 0) {
    Filter filter = device_filter(is_gpu);
    const sock_fprog program = filter.program();
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) ::_exit(2);
    const long result = ::syscall(words[0], words[1], words[2], words[3]);
    const long refused = result == -1 && (errno == ENOSYS || errno == EBADF || errno == EACCES);
    for (;;) ::syscall(SYS_exit_group, refused);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return Fate::kTold;
  return WEXITSTATUS(status) == 0 ? Fate::kAllowed : Fate::kRefused;
}

TEST_F(DeviceWorkerTest, MayCallWhatDriversNeedAndNothingElse) {
  struct Call {
    std::array<long, 4> words;
    Fate fate, fate_on_gpu;
  };
  const Call calls[] = {
      {{SYS_mmap, 0, 4096, PROT_READ}, Fate::kAllowed, Fate::kAllowed},  // EINVAL: allowed.
      {{SYS_getpid}, Fate::kAllowed, Fate::kAllowed},
      {{SYS_write, kLifelineFd, 0, 0}, Fate::kRefused, Fate::kRefused},
      {{SYS_close, kControlFd}, Fate::kTold, Fate::kTold},
      {{SYS_close, kLifelineFd}, Fate::kTold, Fate::kTold},
      {{SYS_open, reinterpret_cast<long>("/dev/null"), O_RDONLY | O_TRUNC}, Fate::kRefused, Fate::kRefused},
      {{SYS_execve}, Fate::kTold, Fate::kTold},
      {{SYS_fork}, Fate::kTold, Fate::kTold},
      {{SYS_clone, SIGCHLD}, Fate::kRefused, Fate::kRefused},
      {{SYS_clone3}, Fate::kRefused, Fate::kRefused},
      {{SYS_socket, 2, 1}, Fate::kTold, Fate::kTold},
      {{SYS_ptrace}, Fate::kTold, Fate::kTold},
      {{SYS_kill, 1}, Fate::kTold, Fate::kTold},
      {{SYS_tgkill, 1, 1}, Fate::kRefused, Fate::kRefused},
      {{SYS_chmod}, Fate::kRefused, Fate::kRefused},
      {{SYS_setrlimit}, Fate::kRefused, Fate::kRefused},
      {{SYS_prctl, PR_SET_DUMPABLE, 1}, Fate::kRefused, Fate::kRefused},
      {{SYS_ioctl, kOutputFd}, Fate::kRefused, Fate::kAllowed},  // EFAULT or ENOTTY: allowed.
      {{SYS_futex, 0, 6 /* FUTEX_LOCK_PI */, 0}, Fate::kRefused, Fate::kRefused},
  };
  for (const Call& call : calls) {
    EXPECT_EQ(fate_of(call.words, false), call.fate) << call.words[0];
    EXPECT_EQ(fate_of(call.words, true), call.fate_on_gpu) << call.words[0] << " on a GPU";
  }
}

TEST_F(DeviceWorkerTest, FailsClosedWhicheverStepIsRefused) {
  std::uint32_t step = 1;
  for (;; ++step) {
    fail_jail_step(step);
    const Result<Worker> worker = Worker::start(fake_gpu());
    fail_jail_step(0);
    if (worker) break;
    EXPECT_EQ(worker.error().code, Code::kUnsupported) << step << ": " << worker.error().message;
    EXPECT_NE(worker.error().message.find("no device can run kernels"), std::string::npos)
        << worker.error().message;
    ASSERT_LT(step, 100U);
  }
  EXPECT_GE(step, 8U);
}

TEST_F(DeviceWorkerTest, SaysWhichDeviceItHasAndLeavesNothing) {
  const TempFolder folder;
  const char* const before = std::getenv("TMPDIR");
  const std::string restored = before == nullptr ? "" : before;
  ::setenv("TMPDIR", folder.path().c_str(), 1);
  const auto n_entries = [&] {
    return std::distance(std::filesystem::directory_iterator(folder.path()),
                         std::filesystem::directory_iterator());
  };
  {
    Worker worker = must(Worker::start(fake_gpu()));
    EXPECT_STREQ(worker.device().device, "Fake GPU");
    EXPECT_STREQ(worker.device().driver, "CUDA 12.4");
    EXPECT_STREQ(worker.device().target, "sm_90");
    EXPECT_EQ(worker.device().is_host, 0U);
    EXPECT_EQ(n_entries(), 1);
    // What is no kernel of a device's is refused, cut anywhere or not.
    DeviceImageHeader header{};
    std::memcpy(header.magic, kDeviceImageMagic, sizeof header.magic);
    for (const std::size_t n : {std::size_t{1}, sizeof header, sizeof header + 8}) {
      std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
      bytes.resize(n);
      const OwnedFd image = must(make_sealed_memory("image", std::as_bytes(std::span(bytes))));
      const auto loaded = worker.load(image.get());
      ASSERT_FALSE(loaded);
      EXPECT_EQ(loaded.error().code, Code::kInvalidArgument) << loaded.error().message;
    }
  }
  EXPECT_EQ(n_entries(), 0);
  before == nullptr ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", restored.c_str(), 1);
}

TEST_F(DeviceWorkerTest, SaysWhyThereIsNoDriver) {
  const Result<Worker> worker =
      Worker::start({.kind = WorkerKind::kOpenCl, .library = "libNoSuchDriver.so.1"});
  ASSERT_FALSE(worker);
  EXPECT_EQ(worker.error().code, Code::kUnsupported);
  EXPECT_NE(worker.error().message.find("libNoSuchDriver.so.1"), std::string::npos)
      << worker.error().message;
}

}  // namespace
}  // namespace hearth::sandbox

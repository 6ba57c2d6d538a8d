// The worker of devices, with a driver of the test's own: what its filter lets through, that it fails
// closed, and that nothing of it is left.
#include <asm/sockios.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <iterator>
#include <thread>

#include "sandbox/protocol.h"
#include "sandbox/test_support/jail_fixture.h"
#include "sandbox/worker/filters.h"
#include "sandbox/worker/lockdown.h"

#ifndef HEARTH_FAKE_CUDA  // A build without the jailed programs.
#define HEARTH_FAKE_CUDA ""
#endif

namespace hearth::sandbox {
namespace {

class DeviceWorkerTest : public JailTest {};

WorkerLimits fake_gpu() { return {.kind = WorkerKind::kCuda, .library = HEARTH_FAKE_CUDA}; }

TEST_F(DeviceWorkerTest, MayCallWhatDriversNeedAndNothingElse) {
  struct Call {
    std::array<long, 7> words;
    int error, error_on_gpu;  // kTold: the worker ends with a sentence.
  };
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const OwnedFd open(pipe[0]), other(pipe[1]);
  const Call calls[] = {
      {{SYS_mmap, 0, 4096, PROT_READ}, EINVAL, EINVAL},
      {{SYS_getpid}, 0, 0},
      {{SYS_write, kLifelineFd, 0, 0}, EBADF, EBADF},
      {{SYS_close, kControlFd}, kTold, kTold},
      {{SYS_close, kLifelineFd}, kTold, kTold},
      {{SYS_open, reinterpret_cast<long>("/dev/null"), O_RDONLY | O_TRUNC}, EACCES, EACCES},
      {{SYS_execve}, kTold, kTold},
      {{SYS_fork}, kTold, kTold},
      {{SYS_clone, SIGCHLD}, ENOSYS, ENOSYS},
      {{SYS_clone3}, ENOSYS, ENOSYS},
      {{SYS_socket, AF_INET, SOCK_STREAM}, kTold, kTold},
      {{SYS_ptrace}, kTold, kTold},
      {{SYS_kill, 1}, kTold, kTold},
      {{SYS_tgkill, 1, 1}, ENOSYS, ENOSYS},
      {{SYS_chmod}, ENOSYS, ENOSYS},
      {{SYS_setrlimit}, ENOSYS, ENOSYS},
      {{SYS_prctl, PR_SET_DUMPABLE, 1}, ENOSYS, ENOSYS},
      {{SYS_futex, 0, FUTEX_LOCK_PI, 0}, ENOSYS, ENOSYS},
      // A GPU's driver asks its devices, but can neither disarm the lifeline nor have signals sent.
      {{SYS_ioctl, open.get(), FIONREAD}, ENOSYS, EFAULT},
      {{SYS_ioctl, kLifelineFd, FIONREAD}, ENOSYS, EBADF},
      {{SYS_ioctl, open.get(), FIOASYNC}, ENOSYS, EPERM},
      {{SYS_ioctl, open.get(), FIOSETOWN}, ENOSYS, EPERM},
      {{SYS_ioctl, open.get(), SIOCSPGRP}, ENOSYS, EPERM},
      {{SYS_ioctl, open.get(), TIOCSTI}, ENOSYS, EPERM},
      {{SYS_fcntl, open.get(), F_GETFD}, ENOSYS, 0},
      {{SYS_fcntl, open.get(), F_SETOWN, 1}, ENOSYS, ENOSYS},
      {{SYS_fcntl, open.get(), F_SETSIG, SIGKILL}, ENOSYS, ENOSYS},
      {{SYS_fcntl, kLifelineFd, F_SETFL, 0}, ENOSYS, EBADF},
      {{SYS_fcntl, kLifelineFd, F_DUPFD, 0}, ENOSYS, EBADF},
      {{SYS_dup, kLifelineFd}, ENOSYS, EBADF},
  };
  for (const Call& call : calls) {
    EXPECT_EQ(fate_of(device_filter(false), call.words), call.error)
        << call.words[0] << ' ' << call.words[1] << ' ' << call.words[2];
    EXPECT_EQ(fate_of(device_filter(true), call.words), call.error_on_gpu)
        << call.words[0] << ' ' << call.words[1] << ' ' << call.words[2] << " on a GPU";
  }
}

// A folder of devices, /dev/dri, is no place to make, remove or replace anything, for root either.
TEST_F(DeviceWorkerTest, MayUseDevicesAndNotTheirFolder) {
  const TempFolder folder;
  const std::string device = folder.path() / "card0", other = folder.path() / "card1";
  must(write_file_atomic(device, "x"));
  const pid_t child = ::fork();
  if (child == 0) {
    Trouble trouble;
    const AllowedPath allowed[] = {{folder.path().c_str(), PathUse::kDevice}};
    const bool holds = drop_privileges(trouble) && close_files(allowed, trouble) &&
                       ::open(device.c_str(), O_RDWR | O_CLOEXEC) >= 0 &&
                       ::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 &&
                       ::open(other.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600) < 0 &&
                       errno == EACCES && ::mkdir(other.c_str(), 0700) != 0 && errno == EACCES &&
                       ::unlink(device.c_str()) != 0 && errno == EACCES &&
                       ::rename(device.c_str(), other.c_str()) != 0 && errno == EACCES;
    ::_exit(holds ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(DeviceWorkerTest, FailsClosedWhicheverStepIsRefused) {
  expect_to_fail_closed(fake_gpu(), "no device can run kernels", 7);
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
    const std::string stderr_of = "/proc/" + std::to_string(worker.pid()) + "/fd/2";
    EXPECT_EQ(std::filesystem::read_symlink(stderr_of), "/dev/null");
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

// Drivers that write on and on until their process is killed: their folders go after it.
TEST_F(DeviceWorkerTest, LeavesNothingOfADriverThatGoesOnWriting) {
  const TempFolder folder;
  const char* const before = std::getenv("TMPDIR");
  const std::string restored = before == nullptr ? "" : before;
  ::setenv("TMPDIR", folder.path().c_str(), 1);
  DeviceImageHeader header{};
  std::memcpy(header.magic, kDeviceImageMagic, sizeof header.magic);
  header.n_dimensions = 1;
  header.group[0] = 1;
  std::strcpy(header.name, "k");
  std::strcpy(header.made_for.target, "sm_90");
  const std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  const OwnedFd image = sealed(bytes + "cubin that writes");
  for (int i = 0; i < 20; ++i) {
    Worker worker = must(Worker::start(fake_gpu()));
    EXPECT_TRUE(worker.load(image.get()));
    const auto scratch = std::filesystem::directory_iterator(folder.path())->path();
    while (std::filesystem::is_empty(scratch)) std::this_thread::yield();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
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

#include "sandbox/owned_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>

namespace hearth::sandbox {
namespace {

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL \
  0x0008U  // Linux 6.3: says that the memory is not meant to be run; some systems insist.
#endif

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

auto memory_failed(const char* name, std::uint64_t bytes) {
  return fail(Code::kUnavailable,
              fmt::format("shared memory '{}' of {} bytes was refused by the system ({})", name,
                          bytes, std::strerror(errno)));
}

Result<OwnedFd> make_memory(const char* name, std::uint64_t bytes) {
  OwnedFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!fd && errno == EINVAL) fd.reset(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
    return memory_failed(name, bytes);
  return fd;
}

}  // namespace

Result<OwnedFd> make_shared_memory(const char* name, std::uint64_t bytes) {
  HEARTH_TRY(OwnedFd fd, make_memory(name, bytes));
  if (::fcntl(fd.get(), F_ADD_SEALS, kSizeSeals) != 0) return memory_failed(name, bytes);
  return fd;
}

Result<OwnedFd> make_sealed_memory(const char* name, std::span<const std::byte> bytes) {
  HEARTH_TRY(OwnedFd fd, make_memory(name, bytes.size()));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        ::pwrite(fd.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n <= 0) return memory_failed(name, bytes.size());
    done += static_cast<std::size_t>(n);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSizeSeals | F_SEAL_WRITE) != 0)
    return memory_failed(name, bytes.size());
  return fd;
}

Result<OwnedFd> reopen_read_only(int fd) {
  OwnedFd reopened(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDONLY | O_CLOEXEC));
  if (!reopened) {
    return fail(Code::kUnavailable,
                fmt::format("memory can't be reopened for reading alone ({}): is /proc mounted?",
                            std::strerror(errno)));
  }
  return reopened;
}

}  // namespace hearth::sandbox

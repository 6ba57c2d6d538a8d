// A file descriptor with one owner, and the few things that this room does with shared memory.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"

namespace hearth::sandbox {

// Closes its descriptor when it goes out of scope; -1 is none.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~OwnedFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// Memory of `bytes` zeros behind a descriptor, sealed against growing and shrinking: who maps it is
// never made to fault by who else has it.  kUnavailable if the system gives none.
Result<OwnedFd> make_shared_memory(const char* name, std::uint64_t bytes);

// A copy of `bytes` that nobody can change any more: what Worker::load takes.
Result<OwnedFd> make_sealed_memory(const char* name, std::span<const std::byte> bytes);

// Another descriptor of the same file, for reading alone: it can't be mapped for writing.
Result<OwnedFd> reopen_read_only(int fd);

}  // namespace hearth::sandbox

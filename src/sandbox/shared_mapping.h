// Memory of zeros that this process has mapped and others may: behind a descriptor, sealed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"
#include "sandbox/owned_fd.h"

namespace hearth::sandbox {

// When its pages come.
enum class Pages : std::uint8_t {
  kWhenTouched,  // Each with a fault, which ends the process where there is no memory left.
  kReserved,     // At once; page tables fill with faults.
  kMapped,       // At once, with their page tables.
};

// Threading: immutable.
class SharedMapping {
 public:
  // At least one byte.  kUnavailable if the system gives none; kOutOfBudget where it has not so
  // much.
  static Result<SharedMapping> create(const char* name, std::uint64_t bytes, Pages pages);

  SharedMapping() = default;
  SharedMapping(SharedMapping&& other) noexcept
      : fd_(std::move(other.fd_)),
        data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  SharedMapping& operator=(SharedMapping&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~SharedMapping();

  int fd() const { return fd_.get(); }
  std::byte* data() const { return data_; }
  std::span<std::byte> bytes() const { return {data_, bytes_}; }

 private:
  OwnedFd fd_;
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace hearth::sandbox

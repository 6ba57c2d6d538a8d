#include "sandbox/shared_mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace hearth::sandbox {

Result<SharedMapping> SharedMapping::create(const char* name, std::uint64_t bytes, Pages pages) {
  bytes = std::max<std::uint64_t>(bytes, 1);
  SharedMapping made;
  HEARTH_TRY(made.fd_, make_shared_memory(name, bytes));
  if (pages != Pages::kWhenTouched &&
      ::fallocate(made.fd(), 0, 0, static_cast<off_t>(bytes)) != 0) {
    return fail(Code::kOutOfBudget, fmt::format("the system has no {} MiB of memory to share ({})",
                                                (bytes >> 20) + 1, std::strerror(errno)));
  }
  const int flags = MAP_SHARED | (pages == Pages::kMapped ? MAP_POPULATE : 0);
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, made.fd(), 0);
  if (at == MAP_FAILED) {
    return fail(Code::kUnavailable, fmt::format("{} MiB of shared memory can't be mapped ({})",
                                                (bytes >> 20) + 1, std::strerror(errno)));
  }
  made.data_ = static_cast<std::byte*>(at);
  made.bytes_ = bytes;
  return made;
}

SharedMapping::~SharedMapping() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

}  // namespace hearth::sandbox

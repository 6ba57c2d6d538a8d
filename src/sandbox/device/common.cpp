// What both kinds of devices need: arguments, and files of a build.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "sandbox/device/backend.h"
#include "sandbox/worker/runner.h"

namespace hearth::sandbox {
namespace {

template <class T>
NumberArgument argument_of(T value) {
  NumberArgument number{{}, sizeof value};
  std::memcpy(number.value, &value, sizeof value);
  return number;
}

bool write_all(int fd, const void* from, std::size_t bytes) {
  const auto* at = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t n = ::write(fd, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

BufferPlace place_of(const RunBuffer& buffer) {
  const Region& region = *mapping_slot(buffer.mapping);  // run_once() has looked at it.
  return {region.memory + buffer.offset, region.bytes - buffer.offset};
}

NumberArgument number_argument(const DeviceArgument& argument, const RunRequest& request) {
  switch (argument.kind) {
    case DeviceArgumentKind::kI32:
      return argument_of(static_cast<std::int32_t>(request.integers[argument.index]));
    case DeviceArgumentKind::kI64:
      return argument_of(request.integers[argument.index]);
    case DeviceArgumentKind::kF32:
      return argument_of(static_cast<float>(request.reals[argument.index]));
    default:
      return argument_of(request.reals[argument.index]);
  }
}

char* read_source(std::size_t& bytes) {
  auto* const text = static_cast<char*>(std::malloc(kDeviceSourceBytesMax + 1));
  bytes = 0;
  for (;;) {
    const ssize_t n = ::read(0, text + bytes, kDeviceSourceBytesMax + 1 - bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    bytes += static_cast<std::size_t>(n);
    if (bytes > kDeviceSourceBytesMax) return nullptr;
  }
  text[bytes] = '\0';
  return text;
}

void say(const char* first, const char* second) {
  write_all(STDOUT_FILENO, first, std::strlen(first));
  write_all(STDOUT_FILENO, second, std::strlen(second));
  write_all(STDOUT_FILENO, "\n", 1);
}

bool write_binary(const char* path, const void* binary, std::size_t bytes) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool is_written = fd >= 0 && write_all(fd, binary, bytes);
  if (fd >= 0) ::close(fd);
  return is_written;
}

}  // namespace hearth::sandbox

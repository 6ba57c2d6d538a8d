#include "compute/devices/device_message.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hearth::compute {
namespace {

constexpr std::size_t kControlBytes = CMSG_SPACE(kTensorsMax * sizeof(int));

}  // namespace

void put_text(DeviceAnswer& answer, std::string_view text) {
  const std::size_t n = text.copy(answer.text, sizeof answer.text - 1);
  answer.text[n] = '\0';
}

DeviceAnswer answer_of(const Error& error) {
  DeviceAnswer answer{};
  answer.status = 1 + static_cast<std::uint32_t>(error.code);
  put_text(answer, error.message);
  return answer;
}

std::optional<Error> error_of(const DeviceAnswer& answer) {
  if (answer.status == 0) return std::nullopt;
  const std::uint32_t code =
      std::min(answer.status - 1, static_cast<std::uint32_t>(Code::kInternal));
  return Error{static_cast<Code>(code),
               std::string(answer.text, ::strnlen(answer.text, sizeof answer.text))};
}

Result<> send_packet(int socket, std::string_view bytes, const std::vector<int>& descriptors) {
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[kControlBytes] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    HEARTH_CHECK(descriptors.size() <= kTensorsMax);
    const std::size_t n_bytes = descriptors.size() * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(n_bytes);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n_bytes);
    std::memcpy(CMSG_DATA(header), descriptors.data(), n_bytes);
  }
  ssize_t n = -1;
  do {
    n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(bytes.size())) return {};
  return fail(Code::kUnavailable, std::strerror(errno));
}

Packet receive_packet(int socket, std::size_t bytes_max) {
  Packet packet{.bytes = std::string(bytes_max, '\0'), .descriptors = {}};
  iovec piece{packet.bytes.data(), bytes_max};
  alignas(cmsghdr) char control[kControlBytes] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = -1;
  do {
    n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  packet.bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t n_fds = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < n_fds; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      packet.descriptors.emplace_back(fd);
    }
  }
  return packet;
}

}  // namespace hearth::compute

#include "compute/devices/device_message.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/fixed_text.h"
#include "sandbox/descriptor_room.h"

namespace hearth::compute {
namespace {

using Room = sandbox::DescriptorRoom<kTensorsMax>;

template <class Call>
ssize_t uninterrupted(Call&& call) {
  ssize_t n = -1;
  do {
    n = call();
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

DeviceAnswer answer_of(const Error& error) {
  DeviceAnswer answer{};
  answer.status = 1 + static_cast<std::uint32_t>(error.code);
  put_text(answer.text, error.message);
  return answer;
}

std::optional<Error> error_of(const DeviceAnswer& answer) {
  if (answer.status == 0) return std::nullopt;
  const std::uint32_t code =
      std::min(answer.status - 1, static_cast<std::uint32_t>(Code::kInternal));
  return Error{static_cast<Code>(code), text_of(answer.text)};
}

Result<> send_packet(int socket, std::string_view bytes, const std::vector<int>& descriptors) {
  HEARTH_CHECK(descriptors.size() <= kTensorsMax);
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  Room room;
  room.attach(message, descriptors.data(), descriptors.size());
  const ssize_t n = uninterrupted([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL); });
  if (n == static_cast<ssize_t>(bytes.size())) return {};
  return fail(Code::kUnavailable, std::strerror(errno));
}

Packet receive_packet(int socket, std::size_t bytes_max) {
  Packet packet{.bytes = std::string(bytes_max, '\0'), .descriptors = {}};
  iovec piece{packet.bytes.data(), bytes_max};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  Room room;
  room.offer(message);
  const ssize_t n = uninterrupted([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
  packet.bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  if (n > 0)
    sandbox::take_descriptors(message, [&](int fd) { packet.descriptors.emplace_back(fd); });
  return packet;
}

}  // namespace hearth::compute

#include "compute/bridge/message_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "sandbox/descriptor_room.h"

namespace hearth::compute::bridge {
namespace {

constexpr const char* kGone = "the other end of the bridge has hung up";

std::unexpected<Error> gone() { return fail(Code::kUnavailable, kGone); }

std::unexpected<Error> failed(const char* what, int number) {
  if (number == EPIPE || number == ECONNRESET) return gone();
  return fail(Code::kUnavailable, std::string("the bridge could not ") + what + ": " + std::strerror(number));
}

// Sends the rest of a message, without descriptors.
Result<> send_rest(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("send", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// Room for one descriptor more than a message may have: too many are seen, not cut off.
using Beside = sandbox::DescriptorRoom<kDescriptorsMax + 1>;

Result<ssize_t> receive_some(int socket, char* bytes, std::size_t n_bytes, std::vector<OwnedFd>& descriptors) {
  iovec part{bytes, n_bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Beside beside;
  beside.offer(message);
  for (;;) {
    const ssize_t n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("receive", errno);
    sandbox::take_descriptors(message, [&](int descriptor) { descriptors.emplace_back(descriptor); });
    if ((message.msg_flags & MSG_CTRUNC) != 0) return fail(Code::kCorrupt, "a message of the bridge has too many descriptors");
    if (n == 0) return gone();
    return n;
  }
}

// Reads exactly so many bytes.  The first may be long in coming if `is_patient`; the others not.
Result<> receive_all(int socket, char* bytes, std::size_t n_bytes, std::vector<OwnedFd>& descriptors,
                     bool is_patient) {
  std::size_t n_read = 0;
  while (n_read < n_bytes) {
    if (!is_patient || n_read > 0) {
      pollfd wait{socket, POLLIN, 0};
      const int n = ::poll(&wait, 1, static_cast<int>(std::chrono::milliseconds(kStallMax).count()));
      if (n == 0) return fail(Code::kUnavailable, "the other end of the bridge stopped within a message");
    }
    HEARTH_TRY(const ssize_t n, receive_some(socket, bytes + n_read, n_bytes - n_read, descriptors));
    n_read += static_cast<std::size_t>(n);
  }
  return {};
}

bool is_absolute(const char* path) { return path != nullptr && path[0] == '/'; }

}  // namespace

Result<> send_message(int socket, Kind kind, std::string_view payload, std::span<const int> descriptors,
                      std::uint16_t status) {
  MessageHeader header;
  header.kind = kind;
  header.n_bytes = static_cast<std::uint32_t>(payload.size());
  header.n_descriptors = static_cast<std::uint16_t>(descriptors.size());
  header.status = status;
  HEARTH_TRY_VOID(check_header(header));

  // One write for header and payload: a second one would wake the other end for nothing.
  std::array<iovec, 2> parts{{{&header, sizeof header}, {const_cast<char*>(payload.data()), payload.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = payload.empty() ? 1 : 2;
  Beside beside;
  beside.attach(message, descriptors.data(), descriptors.size());
  ssize_t n = -1;
  do {
    n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return failed("send", errno);

  // What did not fit: the header's rest, then the payload's.
  auto n_sent = static_cast<std::size_t>(n);
  if (n_sent < sizeof header) {
    HEARTH_TRY_VOID(send_rest(socket, {reinterpret_cast<const char*>(&header) + n_sent, sizeof header - n_sent}));
    n_sent = sizeof header;
  }
  return send_rest(socket, payload.substr(n_sent - sizeof header));
}

Result<Message> receive_message(int socket) {
  Message message;
  HEARTH_TRY_VOID(receive_all(socket, reinterpret_cast<char*>(&message.header), sizeof message.header,
                              message.descriptors, true));
  HEARTH_TRY_VOID(check_header(message.header));
  message.payload.resize(message.header.n_bytes);
  HEARTH_TRY_VOID(receive_all(socket, message.payload.data(), message.payload.size(), message.descriptors, false));
  if (message.descriptors.size() != message.header.n_descriptors) {
    return fail(Code::kCorrupt, "a message of the bridge has other descriptors than it says");
  }
  return message;
}

std::string default_socket_path() {
  if (const char* path = std::getenv("HEARTH_BRIDGE"); path != nullptr && *path != '\0') return path;
  if (const char* folder = std::getenv("XDG_RUNTIME_DIR"); is_absolute(folder)) return std::string(folder) + "/hearth/bridge.sock";
  if (const char* folder = std::getenv("XDG_DATA_HOME"); is_absolute(folder)) return std::string(folder) + "/hearth/bridge.sock";
  const char* home = std::getenv("HOME");
  return std::string(is_absolute(home) ? home : "/tmp") + "/.local/share/hearth/bridge.sock";
}

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Code::kInvalidArgument, "the socket's path has " + std::to_string(path.size()) + " bytes, at most " +
                                            std::to_string(sizeof address.sun_path - 1) + " are possible: '" + path + "'");
  }
  path.copy(address.sun_path, path.size());
  return address;
}

Result<OwnedFd> connect_to(const std::string& path) {
  HEARTH_TRY(const sockaddr_un address, socket_address(path));
  OwnedFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return failed("make a socket", errno);
  int status = -1;
  do {
    status = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (status != 0 && errno == EINTR);
  if (status == 0) return socket;
  const int number = errno;
  if (number == ENOENT || number == ECONNREFUSED) {
    return fail(Code::kNotFound, "no hub listens at '" + path + "': start one with `hearth serve`");
  }
  const Code code = number == EACCES || number == EPERM ? Code::kPermissionDenied : Code::kUnavailable;
  return fail(code, "no connection to '" + path + "': " + std::strerror(number));
}

}  // namespace hearth::compute::bridge

// Messages and descriptors over a connected Unix stream socket; the limits are protocol.h's.
#pragma once

#include <sys/un.h>

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compute/bridge/protocol.h"
#include "sandbox/owned_fd.h"

namespace hearth::compute::bridge {

using sandbox::OwnedFd;

struct Message {
  MessageHeader header;
  std::string payload;
  std::vector<OwnedFd> descriptors;
};

// Errors of both: kUnavailable when the other end is gone, which the sentence says; kCorrupt for what
// breaks the format.  Interrupted calls go on.
//
// Threading: one sender and one receiver at a time.  SIGPIPE is never raised.
Result<> send_message(int socket, Kind kind, std::string_view payload, std::span<const int> descriptors = {},
                      std::uint16_t status = 0);
// Waits for as long as it takes; a peer that stops within a message is given up after kStallMax.
Result<Message> receive_message(int socket);
inline constexpr std::chrono::seconds kStallMax{10};

// Where the hub listens if nobody says otherwise: $HEARTH_BRIDGE, else hearth/bridge.sock under
// $XDG_RUNTIME_DIR, $XDG_DATA_HOME or ~/.local/share.
std::string default_socket_path();

// kInvalidArgument: the path is too long for a socket.
Result<sockaddr_un> socket_address(const std::string& path);

// kNotFound: nobody listens at `path`; kPermissionDenied; kInvalidArgument: the path is too long for a
// socket; kUnavailable.
Result<OwnedFd> connect_to(const std::string& path);

}  // namespace hearth::compute::bridge

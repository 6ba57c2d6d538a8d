// The bridge's server: a Unix socket of this user's, and a session for each client that connects.
//
// A client is a process of the same user; its bytes are still held against limits and its page is not
// believed, because a bug there must stay there.  Whatever way it leaves, its worker ends and its memory
// goes back.
//
// Each session has a thread: what it is asked over the socket is short, and what is not (building, chat)
// clients ask over connections of their own.  Runs do not come by here at all.  See
// docs/design/0025-the-bridge.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "compute/bridge/services.h"

namespace hearth::compute::bridge {

struct ServerOptions {
  std::string socket;  // Empty: default_socket_path().  Its folder is made if it is missing.
  std::uint64_t pool_bytes_max = std::uint64_t{1} << 30;
  std::chrono::nanoseconds run_max = std::chrono::seconds(60);
  std::uint32_t sessions_max = 64;
  unsigned n_threads = 0;    // Of kernels, in the hub and in workers; 0: one for each usable core.
  unsigned n_spare_workers = 2;  // One that is taken while the next one starts leaves another.
};

struct ServerStats {
  std::uint32_t n_sessions = 0;
  std::uint64_t n_sessions_ever = 0;
  std::uint64_t pool_bytes_used = 0;
  std::uint64_t n_workers_replaced = 0;
};

// Threading: stats() from any thread, the rest by the owner.
class Server {
 public:
  // kInvalidArgument: a path that is too long; kPermissionDenied: a folder that others may write to;
  // kUnavailable: another hub listens there already.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Services services);
  virtual ~Server() = default;  // Ends all sessions and waits for them; removes the socket.

  virtual const std::string& path() const = 0;
  virtual ServerStats stats() const = 0;
};

}  // namespace hearth::compute::bridge

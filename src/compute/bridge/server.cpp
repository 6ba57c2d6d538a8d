#include "compute/bridge/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <list>
#include <system_error>
#include <thread>

#include "base/log.h"
#include "compute/bridge/message_socket.h"
#include "compute/bridge/session.h"

namespace hearth::compute::bridge {
namespace {

constexpr int kBacklog = 64;

std::unexpected<Error> system_failure(const std::string& what, int number) {
  const bool is_denied = number == EACCES || number == EPERM;
  return fail(is_denied ? Code::kPermissionDenied : Code::kUnavailable, fmt::format("{}: {}", what, std::strerror(number)));
}

// Makes the socket's folder for its owner alone.  One that is there must be this user's or the system's, and
// nobody else may put things into it.
Result<> prepare_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!folder.parent_path().empty()) std::filesystem::create_directories(folder.parent_path(), error);
  if (error) return system_failure(fmt::format("'{}' could not be made", folder.parent_path().string()), error.value());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_failure(fmt::format("'{}' could not be made", folder.string()), errno);
  }
  struct stat found{};
  if (::stat(folder.c_str(), &found) != 0) return system_failure(fmt::format("'{}' can't be read", folder.string()), errno);
  const bool is_ours = found.st_uid == ::geteuid() || found.st_uid == 0;
  const bool others_write = (found.st_mode & S_IWOTH) != 0 && (found.st_mode & S_ISVTX) == 0;
  if (is_ours && !others_write) return {};
  return fail(Code::kPermissionDenied, fmt::format("others may write to '{}': the bridge's socket does not go there", folder.string()));
}

// A socket file that nobody listens at is what a hub left that was killed.
Result<> clear_stale(const std::string& path) {
  if (const auto other = connect_to(path); other) {
    return fail(Code::kUnavailable, fmt::format("another hub has the bridge at '{}'", path));
  } else if (other.error().code != Code::kNotFound) {
    return std::unexpected(other.error());
  }
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode)) return fail(Code::kInvalidArgument, fmt::format("'{}' is there and no socket", path));
  if (::unlink(path.c_str()) != 0) return system_failure(fmt::format("'{}' could not be removed", path), errno);
  return {};
}

Result<OwnedFd> listen_at(const std::string& path) {
  HEARTH_TRY_VOID(prepare_folder(std::filesystem::path(path).parent_path()));
  HEARTH_TRY_VOID(clear_stale(path));
  OwnedFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return system_failure("no socket for the bridge", errno);
  // Before it has a name, so that there is no moment in which others may connect.
  if (::fchmod(listener.get(), 0600) != 0) return system_failure("the bridge's socket can't be kept to its owner", errno);
  HEARTH_TRY(const sockaddr_un address, socket_address(path));
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), kBacklog) != 0) {
    return system_failure(fmt::format("the bridge can't listen at '{}'", path), errno);
  }
  return listener;
}

class SocketServer final : public Server {
 public:
  SocketServer(ServerOptions options, const Services& services, OwnedFd listener, OwnedFd stop)
      : options_(std::move(options)),
        shared_(services, options_.pool_bytes_max, options_.n_threads, options_.n_spare_workers),
        listener_(std::move(listener)),
        stop_(std::move(stop)) {
    shared_.run_max = options_.run_max;
    shared_.stop_descriptor = stop_.get();
    thread_ = std::thread([this] { accept_all(); });
  }

  ~SocketServer() override {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
    for (Client& client : clients_) client.thread.join();
    ::unlink(options_.socket.c_str());
  }

  const std::string& path() const override { return options_.socket; }

  ServerStats stats() const override {
    return {n_sessions_.load(), n_sessions_ever_.load(), shared_.pool.n_bytes_used(), shared_.n_workers_replaced.load()};
  }

 private:
  struct Client {
    std::thread thread;
    std::atomic<bool> has_left{false};
  };

  void accept_all() {
    for (;;) {
      std::array<pollfd, 2> wait{{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
      const int n = ::poll(wait.data(), wait.size(), -1);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 || wait[1].revents != 0) return;
      clients_.remove_if([](Client& client) {
        if (!client.has_left) return false;
        client.thread.join();
        return true;
      });
      OwnedFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) {
        // Out of descriptors, say: the client waits in the backlog while others leave.
        if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        continue;
      }
      if (const auto allowed = check_client(socket.get()); !allowed) {
        refuse(socket.get(), allowed.error());
        continue;
      }
      // A client that reads no more may not hold its session's thread for ever.
      const timeval patience{std::chrono::seconds(kStallMax).count(), 0};
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      start_session(std::move(socket));
    }
  }

  Result<> check_client(int socket) const {
    ucred peer{};
    socklen_t n_bytes = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &n_bytes) != 0 || peer.uid != ::geteuid()) {
      return fail(Code::kPermissionDenied, "this hub belongs to another user");
    }
    if (n_sessions_ < options_.sessions_max) return {};
    return fail(Code::kUnavailable, fmt::format("{} clients are connected, which is the bridge's limit", options_.sessions_max));
  }

  // Hears the client's hello first: hanging up on unread bytes would lose the answer to them.
  static void refuse(int socket, const Error& error) {
    constexpr int kHelloMs = 200;
    pollfd wait{socket, POLLIN, 0};
    if (::poll(&wait, 1, kHelloMs) > 0) (void)receive_message(socket);
    (void)send_message(socket, Kind::kReply, error.message, {}, static_cast<std::uint16_t>(1 + static_cast<int>(error.code)));
  }

  void start_session(OwnedFd socket) {
    ++n_sessions_;
    ++n_sessions_ever_;
    Client& client = clients_.emplace_back();
    client.thread = std::thread([this, &client, number = socket.release()] {
      {
        Session session(shared_, OwnedFd(number));
        session.serve();
      }
      --n_sessions_;
      client.has_left = true;
    });
  }

  const ServerOptions options_;
  Shared shared_;
  OwnedFd listener_;
  OwnedFd stop_;
  std::atomic<std::uint32_t> n_sessions_{0};
  std::atomic<std::uint64_t> n_sessions_ever_{0};
  std::list<Client> clients_;  // The accepting thread's, and the destructor's after it.
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Services services) {
  if (options.socket.empty()) options.socket = default_socket_path();
  HEARTH_TRY(OwnedFd listener, listen_at(options.socket));
  OwnedFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return system_failure("no event descriptor for the bridge", errno);
  return std::unique_ptr<Server>(std::make_unique<SocketServer>(std::move(options), services, std::move(listener), std::move(stop)));
}

}  // namespace hearth::compute::bridge

// A server for tests: listens on 127.0.0.1, and runs a script for each connection that
// may misbehave in every way that real peers do.  Plain blocking sockets, one thread a
// connection; header-only, so that no product binary carries it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace hearth::net {

struct LoopbackRequest {
  std::string head;  // Request line and header lines.
  std::string body;
};

// One accepted connection, as a script sees it.
class LoopbackConnection {
 public:
  LoopbackConnection(int fd, const std::atomic<bool>& stopping) : fd_(fd), stopping_(stopping) {}

  // Waits for a whole request with Content-Length; an empty head if the peer left.
  LoopbackRequest read_request() {
    std::string bytes;
    std::size_t head_end = std::string::npos;
    while ((head_end = bytes.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more(bytes)) return {};
    }
    LoopbackRequest request{.head = bytes.substr(0, head_end), .body = bytes.substr(head_end + 4)};
    const std::size_t length = content_length(request.head);
    while (request.body.size() < length) {
      if (!read_more(request.body)) break;
    }
    return request;
  }

  // False once the peer is gone.
  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  void respond(int status, std::string_view body, std::string_view extra_headers = "") {
    write("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
          std::string(extra_headers) + "Content-Length: " + std::to_string(body.size()) +
          "\r\nConnection: close\r\n\r\n" + std::string(body));
  }

  // Starts a response that ends with the connection.
  void begin_stream(int status = 200) {
    write("HTTP/1.1 " + std::to_string(status) +
          " X\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
  }

  // Sleeps, but not past the server's end; false then.
  bool pause(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (!stopping_ && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return !stopping_;
  }

  // Waits until the peer hangs up (or the server ends).
  void wait_for_hangup() {
    std::string ignored;
    while (read_more(ignored)) {
    }
  }

 private:
  bool read_more(std::string& bytes) {
    while (!stopping_) {
      pollfd entry{.fd = fd_, .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 20) == 0) continue;
      char buffer[16384];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      bytes.append(buffer, static_cast<std::size_t>(n));
      return true;
    }
    return false;
  }

  static std::size_t content_length(std::string head) {
    std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t at = head.find("content-length:");
    return at == std::string::npos ? 0 : std::strtoul(head.c_str() + at + 15, nullptr, 10);
  }

  int fd_;
  const std::atomic<bool>& stopping_;
};

class LoopbackServer {
 public:
  using Script = std::function<void(LoopbackConnection&)>;

  explicit LoopbackServer(Script script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 256) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~LoopbackServer() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    for (std::thread& thread : connections_) thread.join();
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view path = "") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  int n_connections() const { return n_connections_; }

 private:
  void accept_all() {
    while (!stopping_) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ++n_connections_;
      connections_.emplace_back([this, fd] {
        LoopbackConnection connection(fd, stopping_);
        script_(connection);
        ::shutdown(fd, SHUT_RDWR);
        ::close(fd);
      });
    }
  }

  Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> n_connections_ = 0;
  std::vector<std::thread> connections_;  // Of the acceptor thread until it is joined.
  std::thread acceptor_;
};

// A port on which nobody listens (bound and closed again).
inline std::uint16_t unused_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

}  // namespace hearth::net

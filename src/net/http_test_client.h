// A blocking client over a raw socket, for tests that must send what no library would.
// Every wait ends after kTestPatience, so that a server that hangs fails a test instead of
// stopping it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace hearth::net {

inline constexpr std::chrono::milliseconds kTestPatience{10'000};

struct TestResponse {
  int status = 0;  // 0: the connection ended before a whole response.
  std::string head;
  std::string body;  // Without its chunk framing.
};

class TestClient {
 public:
  // `receive_bytes`: the socket's receive buffer, to play a reader that falls behind; 0: default.
  explicit TestClient(std::uint16_t port, int receive_bytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_bytes > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  TestClient(TestClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), in_(std::move(other.in_)) {}
  ~TestClient() { close(); }

  bool connected() const { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void end_sending() { ::shutdown(fd_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd p{fd_, POLLOUT, 0};
      if (::poll(&p, 1, static_cast<int>(kTestPatience.count())) <= 0) return false;
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  // More bytes into the buffer; false at the end of the stream, on reset and out of patience.
  bool receive(std::chrono::milliseconds patience = kTestPatience) {
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, static_cast<int>(patience.count())) <= 0) return false;
    char piece[16384];
    const ssize_t n = ::recv(fd_, piece, sizeof piece, 0);
    if (n <= 0) return false;
    in_.append(piece, static_cast<std::size_t>(n));
    return true;
  }

  // Waits until the buffer holds `text`.
  bool await(std::string_view text) {
    while (in_.find(text) == std::string::npos) {
      if (!receive()) return false;
    }
    return true;
  }

  // True if the server ends the connection, whatever it sends before.
  bool await_close() {
    const auto deadline = std::chrono::steady_clock::now() + kTestPatience;
    while (receive()) {
    }
    return std::chrono::steady_clock::now() < deadline;
  }

  const std::string& buffer() const { return in_; }

  // Takes one whole response out of the buffer.  `head_only` for the answer to HEAD.
  TestResponse read_response(bool head_only = false) {
    TestResponse r;
    if (!await("\r\n\r\n")) return r;
    const std::size_t end = in_.find("\r\n\r\n") + 4;
    r.head = in_.substr(0, end);
    in_.erase(0, end);
    const int status = std::stoi(r.head.substr(9, 3));
    if (!head_only && !read_body(r)) return r;
    r.status = status;
    return r;
  }

 private:
  bool read_body(TestResponse& r) {
    if (r.head.find("Transfer-Encoding: chunked") != std::string::npos) return read_chunks(r);
    const std::size_t at = r.head.find("Content-Length: ");
    if (at == std::string::npos) {
      while (receive()) {
      }
      r.body = std::exchange(in_, {});
      return true;
    }
    const std::size_t length = std::stoul(r.head.substr(at + 16));
    while (in_.size() < length) {
      if (!receive()) return false;
    }
    r.body = in_.substr(0, length);
    in_.erase(0, length);
    return true;
  }

  bool read_chunks(TestResponse& r) {
    while (true) {
      if (!await("\r\n")) return false;
      const std::size_t line = in_.find("\r\n") + 2;
      const std::size_t length = std::stoul(in_, nullptr, 16);
      while (in_.size() < line + length + 2) {
        if (!receive()) return false;
      }
      r.body += in_.substr(line, length);
      in_.erase(0, line + length + 2);
      if (length == 0) return true;
    }
  }

  int fd_ = -1;
  bool connected_ = false;
  std::string in_;
};

// Polls until `condition` holds; false out of patience.
template <class Condition>
bool eventually(Condition&& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kTestPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Open file descriptors of this process.
inline std::size_t count_open_files() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

}  // namespace hearth::net

// Ollama's registry with one model, "tiny:1b", over a real socket, for tests: its line can break or stall
// in the middle.  Header-only, so that no product binary carries it.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "net/loopback_server.h"

namespace hearth::store {

class RegistryForTest {
 public:
  explicit RegistryForTest(std::string bytes)
      : bytes_(std::move(bytes)), digest_(to_hex(sha256(bytes_))), server_([this](auto& connection) { serve(connection); }) {}

  std::string url() const { return server_.url(); }
  const std::string& digest() const { return digest_; }
  // The bytes that the model's file was asked for from, one per request.
  std::vector<std::size_t> starts() const {
    const std::lock_guard lock(mutex_);
    return starts_;
  }

  std::atomic<bool> breaks_once{false};  // The next answer ends after half of the rest.
  std::atomic<bool> stalls{false};       // Answers wait after half of the rest until this is false.

 private:
  void serve(net::LoopbackConnection& connection) {
    const std::string head = connection.read_request().head;
    if (head.starts_with("GET /v2/library/tiny/manifests/1b ")) return connection.respond(200, manifest());
    if (head.starts_with("GET /v2/library/tiny/blobs/sha256:" + digest_ + " ")) return send_file(connection, head);
    connection.respond(404, "{}");
  }

  std::string manifest() const {
    return fmt::format(R"({{"layers":[{{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{}","size":{}}}]}})",
                       digest_, bytes_.size());
  }

  void send_file(net::LoopbackConnection& connection, const std::string& head) {
    const std::size_t at = head.find("bytes=");
    const std::size_t start = at == head.npos ? 0 : std::strtoul(head.c_str() + at + 6, nullptr, 10);
    {
      const std::lock_guard lock(mutex_);
      starts_.push_back(start);
    }
    const std::string_view rest = std::string_view(bytes_).substr(start);
    const std::string range = fmt::format("Content-Range: bytes {}-{}/{}\r\n", start, bytes_.size() - 1, bytes_.size());
    connection.write(fmt::format("HTTP/1.1 {} X\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n", start > 0 ? 206 : 200,
                                 start > 0 ? range : "", rest.size()));
    connection.write(rest.substr(0, rest.size() / 2));
    if (breaks_once.exchange(false)) return;
    while (stalls && connection.pause(std::chrono::milliseconds(1))) {
    }
    connection.write(rest.substr(rest.size() / 2));
  }

  const std::string bytes_, digest_;
  mutable std::mutex mutex_;
  std::vector<std::size_t> starts_;
  net::LoopbackServer server_;  // Last: its threads use the rest.
};

}  // namespace hearth::store

// A context from inside: the connection to the hub, the memory that it lent, and the ways to run.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "compute/bridge/message_socket.h"
#include "compute/bridge/protocol.h"
#include "failure.h"
#include "lane.h"

namespace hearth::client {

using compute::bridge::Kind;
using compute::bridge::Message;
using compute::bridge::OwnedFd;
using compute::bridge::PayloadReader;
using compute::bridge::PayloadWriter;
using compute::bridge::WireValue;

// One who asks at a time.  A connection that failed stays failed: HEARTH_HUB_GONE ever after.
//
// Threading: any thread.
class Connection {
 public:
  static Outcome<std::unique_ptr<Connection>> open(const std::string& path, std::string_view client);

  // The reply's payload and descriptors, or the failure that it says.
  Outcome<Message> ask(Kind kind, std::string_view payload);
  // The same in halves, for answers that come in pieces: Kind::kPiece before Kind::kReply.
  Outcome<> say(Kind kind, std::string_view payload);
  Outcome<Message> hear();

  bool is_gone() const { return is_gone_.load(std::memory_order_relaxed); }
  // Looks whether the hub has hung up: one system call.
  bool look_for_hang_up();
  void close();  // Whoever waits is told that the hub is gone.

  const compute::bridge::HelloReply& hello() const { return hello_; }

 private:
  explicit Connection(OwnedFd socket) : socket_(std::move(socket)) {}
  std::unexpected<Failure> gone(std::string sentence);

  OwnedFd socket_;
  std::mutex mutex_;
  std::atomic<bool> is_gone_{false};
  compute::bridge::HelloReply hello_;
};

// A block of the hub's pool, mapped here.
struct Region {
  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region();

  std::uint64_t block = 0;
  OwnedFd memory;
  std::byte* data = nullptr;
  std::uint64_t n_bytes = 0;
};

// What a context's tensors, kernels and views share; each of them holds it.
//
// Threading: any thread.
class Link : public std::enable_shared_from_this<Link> {
 public:
  static Outcome<std::shared_ptr<Link>> open(const std::string& path, const std::string& client);
  void close();

  Connection& control() { return *control_; }
  Lane& lane(compute::bridge::Place place) { return lanes_[static_cast<std::size_t>(place)]; }
  // A connection of its own, for asks that take long.
  Outcome<std::unique_ptr<Connection>> open_aside() const;

  // Memory of at least so many bytes: recycled if there is some, else from the hub.
  Outcome<std::shared_ptr<Region>> take_memory(std::uint64_t n_bytes);
  // The region that holds all of [data, data + n_bytes); null for memory that is not the pool's.
  std::shared_ptr<Region> find_memory(const void* data, std::uint64_t n_bytes);

  void keep_roofs(const compute::bridge::RoofsReply& roofs);
  compute::bridge::RoofsReply roofs() const;

 private:
  Link(std::string path, std::string client) : path_(std::move(path)), client_(std::move(client)) {}
  std::shared_ptr<Region> lend(std::unique_ptr<Region> region);
  std::unique_ptr<Region> take_recycled(std::uint64_t n_bytes);
  Outcome<std::unique_ptr<Region>> allocate(std::uint64_t n_bytes);
  void give_back(std::unique_ptr<Region> region);
  void drop_recycled(std::uint64_t n_bytes_kept);

  const std::string path_;
  const std::string client_;
  std::unique_ptr<Connection> control_;
  Lane lanes_[compute::bridge::kPlaces];
  mutable std::mutex mutex_;  // Of what follows.
  std::map<const std::byte*, std::weak_ptr<Region>> live_;
  std::multimap<std::uint64_t, std::unique_ptr<Region>> recycled_;  // By bytes.
  std::uint64_t n_bytes_recycled_ = 0;
  compute::bridge::RoofsReply roofs_;
};

}  // namespace hearth::client

#include "link.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace hearth::client {
namespace {

using namespace compute::bridge;

constexpr std::uint64_t kPageBytes = 4096;

// Sizes come in eighths of powers of two, so that what is recycled fits the next tensor of about its size:
// at most an eighth of a block is unused.
std::uint64_t size_class(std::uint64_t n_bytes) {
  std::uint64_t step = kPageBytes;
  while (step * 8 < n_bytes) step *= 2;
  return (n_bytes + step - 1) / step * step;
}

}  // namespace

Outcome<std::unique_ptr<Connection>> Connection::open(const std::string& path, std::string_view client) {
  HEARTH_TRY(OwnedFd socket, outcome_of(connect_to(path)));
  std::unique_ptr<Connection> connection(new Connection(std::move(socket)));
  const std::string_view name = client.substr(0, kClientBytesMax);
  const HelloAsk ask{kVersion, static_cast<std::uint32_t>(name.size())};
  HEARTH_TRY(const Message reply, connection->ask(Kind::kHello, PayloadWriter().put(ask).put_text(name).bytes()));
  HEARTH_TRY(connection->hello_, outcome_of(parse_plain<HelloReply>(reply.payload)));
  return connection;
}

std::unexpected<Failure> Connection::gone(std::string sentence) {
  is_gone_ = true;
  return failed(HEARTH_HUB_GONE, sentence + ": open a new context");
}

Outcome<> Connection::say(Kind kind, std::string_view payload) {
  if (payload.size() > kPayloadBytesMax) {
    return failed(HEARTH_INVALID, "a text of " + std::to_string(payload.size()) + " bytes is too long: at most " +
                                      std::to_string(kTextBytesMax) + " are possible");
  }
  if (is_gone()) return gone("the hub is not there any more");
  if (const auto sent = send_message(socket_.get(), kind, payload); !sent) return gone(sent.error().message);
  return {};
}

Outcome<Message> Connection::hear() {
  auto message = receive_message(socket_.get());
  if (!message) return gone(message.error().message);
  if (message->header.status != 0) return failed(static_cast<hearth_status>(message->header.status), message->payload);
  return *std::move(message);
}

Outcome<Message> Connection::ask(Kind kind, std::string_view payload) {
  const std::lock_guard lock(mutex_);
  HEARTH_TRY_VOID(say(kind, payload));
  HEARTH_TRY(Message reply, hear());
  if (reply.header.kind != Kind::kReply) return gone("the hub answered out of turn");
  return reply;
}

bool Connection::look_for_hang_up() {
  pollfd look{socket_.get(), POLLRDHUP, 0};
  if (::poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) is_gone_ = true;
  return is_gone();
}

void Connection::close() {
  is_gone_ = true;
  ::shutdown(socket_.get(), SHUT_RDWR);
}

Region::~Region() {
  if (data != nullptr) ::munmap(data, n_bytes);
}

Outcome<std::shared_ptr<Link>> Link::open(const std::string& path, const std::string& client) {
  std::shared_ptr<Link> link(new Link(path.empty() ? default_socket_path() : path, client));
  HEARTH_TRY(link->control_, Connection::open(link->path_, client));
  return link;
}

void Link::close() {
  control_->close();
  const std::lock_guard lock(mutex_);
  recycled_.clear();
  n_bytes_recycled_ = 0;
}

Outcome<std::unique_ptr<Connection>> Link::open_aside() const {
  if (control_->is_gone()) return failed(HEARTH_HUB_GONE, "the hub is not there any more: open a new context");
  return Connection::open(path_, client_);
}

std::unique_ptr<Region> Link::take_recycled(std::uint64_t n_bytes) {
  const std::lock_guard lock(mutex_);
  const auto at = recycled_.find(n_bytes);
  if (at == recycled_.end()) return nullptr;
  std::unique_ptr<Region> region = std::move(at->second);
  recycled_.erase(at);
  n_bytes_recycled_ -= n_bytes;
  return region;
}

Outcome<std::unique_ptr<Region>> Link::allocate(std::uint64_t n_bytes) {
  HEARTH_TRY(Message reply, control_->ask(Kind::kAllocate, PayloadWriter().put(AllocateAsk{n_bytes}).bytes()));
  HEARTH_TRY(const auto allocated, outcome_of(parse_plain<AllocateReply>(reply.payload)));
  if (reply.descriptors.size() != 1 || allocated.n_bytes < n_bytes) {
    return failed(HEARTH_CORRUPT, "the hub's answer about memory breaks its format");
  }
  auto region = std::make_unique<Region>();
  region->block = allocated.block;
  region->memory = std::move(reply.descriptors[0]);
  void* data = ::mmap(nullptr, allocated.n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, region->memory.get(), 0);
  if (data == MAP_FAILED) {
    (void)control_->ask(Kind::kFree, PayloadWriter().put(FreeAsk{allocated.block}).bytes());
    return failed(HEARTH_UNAVAILABLE, std::string("the hub's memory could not be mapped: ") + std::strerror(errno));
  }
  region->data = static_cast<std::byte*>(data);
  region->n_bytes = allocated.n_bytes;
  return region;
}

Outcome<std::shared_ptr<Region>> Link::take_memory(std::uint64_t n_bytes) {
  const std::uint64_t n_class = size_class(n_bytes == 0 ? 1 : n_bytes);
  if (auto region = take_recycled(n_class)) return lend(std::move(region));
  auto region = allocate(n_class);
  if (!region && region.error().status == HEARTH_OVER_BUDGET) {
    drop_recycled(0);  // What is kept for later makes room.
    region = allocate(n_class);
  }
  if (!region) return std::unexpected(region.error());
  return lend(*std::move(region));
}

// A region that comes back here when its last user is done with it, and goes away with the link.
std::shared_ptr<Region> Link::lend(std::unique_ptr<Region> region) {
  const auto come_back = [link = weak_from_this()](Region* returned) {
    std::unique_ptr<Region> owned(returned);
    if (const auto alive = link.lock()) alive->give_back(std::move(owned));
  };
  std::shared_ptr<Region> lent(region.release(), come_back);
  const std::lock_guard lock(mutex_);
  live_[lent->data] = lent;
  return lent;
}

void Link::give_back(std::unique_ptr<Region> region) {
  const std::uint64_t n_bytes_kept_max = control_->hello().recycle_bytes_max;
  {
    const std::lock_guard lock(mutex_);
    live_.erase(region->data);
    if (!control_->is_gone() && region->n_bytes <= n_bytes_kept_max) {
      n_bytes_recycled_ += region->n_bytes;
      const std::uint64_t n_bytes = region->n_bytes;
      recycled_.emplace_hint(recycled_.lower_bound(n_bytes), n_bytes, std::move(region));
    }
  }
  if (region != nullptr && !control_->is_gone()) {
    (void)control_->ask(Kind::kFree, PayloadWriter().put(FreeAsk{region->block}).bytes());
  }
  drop_recycled(n_bytes_kept_max);
}

// Hands back to the hub what is kept beyond so many bytes, the largest first.
void Link::drop_recycled(std::uint64_t n_bytes_kept) {
  for (;;) {
    std::unique_ptr<Region> region;
    {
      const std::lock_guard lock(mutex_);
      if (n_bytes_recycled_ <= n_bytes_kept || recycled_.empty()) return;
      const auto largest = std::prev(recycled_.end());
      region = std::move(largest->second);
      n_bytes_recycled_ -= region->n_bytes;
      recycled_.erase(largest);
    }
    if (!control_->is_gone()) (void)control_->ask(Kind::kFree, PayloadWriter().put(FreeAsk{region->block}).bytes());
  }
}

std::shared_ptr<Region> Link::find_memory(const void* data, std::uint64_t n_bytes) {
  const auto* begin = static_cast<const std::byte*>(data);
  std::shared_ptr<Region> region;  // Outlives the lock: dropping a last reference takes it again.
  const std::lock_guard lock(mutex_);
  const auto at = live_.upper_bound(begin);
  if (at == live_.begin()) return nullptr;
  region = std::prev(at)->second.lock();
  if (region == nullptr) return nullptr;
  const auto offset = static_cast<std::uint64_t>(begin - region->data);
  return offset <= region->n_bytes && n_bytes <= region->n_bytes - offset ? region : nullptr;
}

void Link::keep_roofs(const RoofsReply& roofs) {
  const std::lock_guard lock(mutex_);
  roofs_ = roofs;
}

RoofsReply Link::roofs() const {
  const std::lock_guard lock(mutex_);
  return roofs_;
}

}  // namespace hearth::client

// Sessions over HTTP, for revisions up to 2025-11-25: a bounded table in order of use.
#include <fmt/format.h>

#include <random>

#include "api/mcp/desk.h"

namespace hearth::api::mcp {
namespace {

// 128 bits of the system's randomness: who has it may use the session.
std::string draw_id() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

}  // namespace

std::shared_ptr<Session> Sessions::open(std::string client, Revision revision) {
  auto session = std::make_shared<Session>();
  session->id = draw_id();
  session->client = std::move(client);
  session->revision = revision;
  std::shared_ptr<Session> displaced;
  {
    const std::lock_guard lock(mutex_);
    if (order_.size() == kSessionsMax) {
      displaced = order_.back();
      by_id_.erase(displaced->id);
      order_.pop_back();
    }
    order_.push_front(session);
    by_id_.emplace(session->id, order_.begin());
  }
  if (displaced) displaced->calls->cancel_all();
  return session;
}

std::shared_ptr<Session> Sessions::find(std::string_view id, std::string_view client) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || (*found->second)->client != client) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return *found->second;
}

bool Sessions::close(std::string_view id, std::string_view client) {
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_id_.find(id);
    if (found == by_id_.end() || (*found->second)->client != client) return false;
    session = *found->second;
    order_.erase(found->second);
    by_id_.erase(found);
  }
  session->calls->cancel_all();
  return true;
}

std::size_t Sessions::size() const {
  const std::lock_guard lock(mutex_);
  return order_.size();
}

}  // namespace hearth::api::mcp

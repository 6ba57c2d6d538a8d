#include "engine/session_snapshots.h"

#include <algorithm>
#include <iterator>

#include "base/program_identity.h"
#include "engine/catch_error.h"

namespace hearth::engine {
namespace {

constexpr std::uint32_t kPageTokens = model::kPageTokens;
// Of the pool, to the desk.  What would be more is not kept, or not restored.
constexpr std::uint64_t kLentPartMax = 2;

SnapshotText text_of(const Session& session, std::uint32_t n_tokens) {
  const PrefixKey& key = session.pages.key();
  SnapshotText text;
  text.key = snapshot_key(program_identity(), key.model_identity, key.layout);
  text.tokens.assign(session.tokens.begin(), session.tokens.begin() + n_tokens);
  text.adapters = session.pages.adapters().trail();
  text.page_bytes = key.layout.page_bytes();
  text.n_vocab = session.runner().n_vocab();
  return text;
}

}  // namespace

SessionSnapshots::~SessionSnapshots() { settle(std::chrono::steady_clock::now()); }

bool SessionSnapshots::may_keep(const Session& session) const {
  return session.pages.shares() && session.job.request.may_keep;
}

// One text may have as many pages as it likes.
bool SessionSnapshots::may_lend(std::uint64_t bytes) const {
  return lent_bytes_ == 0 || lent_bytes_ + bytes <= pool_.bytes_max() / kLentPartMax;
}

bool SessionSnapshots::begin(std::unique_ptr<Session>& session, bool is_idle) {
  if (!session->pages.shares() || session->n_prompt() < tokens_min_) return false;
  NodeId at{};
  bool is_pinned = false;
  (void)catch_error([&] {
    if (follow(session)) return;
    std::uint32_t first_page = 0;
    const std::uint32_t n_in_memory = walk_memory(*session, at, first_page);
    is_pinned = true;
    session->n_in_memory = n_in_memory;
    // For the last token's logits alone only where nobody else's step would be waited for.
    if (session->n_prompt() - n_in_memory < kRestoredTokensMin && !is_idle) return;
    look(session, at, first_page);
  });
  if (session == nullptr) return true;
  if (is_pinned) cache_.leave(at);
  return false;
}

// Lets the session wait for a ticket whose prompt begins like its own.
bool SessionSnapshots::follow(std::unique_ptr<Session>& session) {
  for (const auto& ticket : tickets_) {
    if (!ticket->is_pinned || ticket->session == nullptr) continue;
    if (ticket->key != session->pages.key()) continue;
    const auto n = static_cast<std::ptrdiff_t>(std::min(ticket->tokens.size(), session->tokens.size()));
    const auto same = std::mismatch(ticket->tokens.begin(), ticket->tokens.begin() + n,
                                    session->tokens.begin());
    const auto n_common = static_cast<std::uint32_t>(same.first - ticket->tokens.begin());
    const bool has_adapters_in_common =
        ticket->session->pages.adapters().key_before(n_common) ==
        session->pages.adapters().key_before(n_common);
    if (n_common < tokens_min_ || !has_adapters_in_common) continue;
    ticket->followers.reserve(ticket->followers.size() + 1);
    ticket->followers.push_back(std::move(session));
    return true;
  }
  return false;
}

// How many of the prompt's tokens are in memory; pins their whole pages but the prompt's last one.
std::uint32_t SessionSnapshots::walk_memory(Session& session, NodeId& at,
                                            std::uint32_t& first_page) {
  const std::span<const TokenId> tokens = session.tokens;
  const AdapterMix& adapters = session.pages.adapters();
  at = cache_.enter(session.pages.key());
  while (std::size_t{first_page + 1} * kPageTokens < tokens.size()) {
    const std::uint32_t begin = first_page * kPageTokens;
    const auto next = cache_.descend(at, tokens.subspan(begin, kPageTokens),
                                     adapters.key_before(begin + kPageTokens));
    if (!next) break;
    at = *next;
    ++first_page;
  }
  const std::uint32_t begin = first_page * kPageTokens;
  const auto rest = tokens.subspan(begin, std::min<std::size_t>(kPageTokens, tokens.size() - begin));
  const auto end = begin + static_cast<std::uint32_t>(rest.size());
  const auto overlap = cache_.find_overlap(at, rest, adapters.key_before(end));
  return std::min(begin + overlap.n_tokens, session.n_prompt() - 1);
}

// Takes over the session, and the path that is pinned at `at`, once nothing can fail any more.
void SessionSnapshots::look(std::unique_ptr<Session>& session, NodeId at,
                            std::uint32_t first_page) {
  auto ticket = std::make_unique<Ticket>();
  ticket->key = session->pages.key();
  ticket->tokens = session->tokens;
  ticket->page_bytes = ticket->key.layout.page_bytes();
  tickets_.reserve(tickets_.size() + 1);
  ticket->number = ++last_ticket_;
  desk_.look(ticket->number, text_of(*session, session->n_tokens()), first_page);
  ticket->at = at;
  ticket->is_pinned = true;
  ticket->session = std::move(session);
  tickets_.push_back(std::move(ticket));
}

// Has the hit read into pages of its own; false if that does not pay or there are none.
bool SessionSnapshots::read(Ticket& ticket, SnapshotHit hit) {
  if (ticket.session == nullptr || hit.pages.empty()) return false;
  const bool is_exact = hit.logits_file != 0 && hit.n_tokens == ticket.session->n_tokens();
  if (hit.n_tokens < ticket.session->n_in_memory + kRestoredTokensMin && !is_exact) return false;
  if (!may_lend(hit.pages.size() * ticket.page_bytes)) return false;
  std::vector<PageId> pages(hit.pages.size());
  std::vector<std::byte*> addresses(hit.pages.size());
  const auto page_class = pool_.page_class(ticket.page_bytes);
  if (!page_class || !cache_.make_room(*page_class, pages.size())) return false;
  if (!pool_.acquire(*page_class, pages)) return false;
  for (std::size_t i = 0; i < pages.size(); ++i) addresses[i] = pool_.bytes(pages[i]).data();
  ticket.pages = std::move(pages);
  ticket.hit = std::move(hit);
  lent_bytes_ += ticket.pages.size() * ticket.page_bytes;
  desk_.read(ticket.number, ticket.hit, std::move(addresses));
  return true;
}

// Makes what was read known to the cache.
void SessionSnapshots::insert(Ticket& ticket, std::uint32_t n_read) {
  for (std::uint32_t i = 0; i < n_read; ++i) {
    const StoredPage& stored = ticket.hit.pages[i];
    if (stored.n_tokens < kPageTokens) {
      cache_.insert_tail(ticket.at, stored.text(), stored.adapters, ticket.pages[i]);
    } else {
      ticket.at = cache_.insert(ticket.at, stored.text(), stored.adapters, ticket.pages[i]).node;
    }
  }
}

// The ticket's end: its session, if it has one, is ready.
void SessionSnapshots::end(Ticket& ticket) {
  if (ticket.is_pinned) cache_.leave(ticket.at);
  for (const PageId page : ticket.pages) pool_.release(page);
  lent_bytes_ -= ticket.pages.size() * ticket.page_bytes;
  if (ticket.session != nullptr) ready_.push_back(std::move(ticket.session));
  std::erase_if(tickets_, [&](const auto& each) { return each.get() == &ticket; });
}

void SessionSnapshots::handle(SnapshotNews& news,
                              std::vector<std::unique_ptr<Session>>& followers) {
  const auto found = std::ranges::find(tickets_, news.ticket,
                                       [](const auto& ticket) { return ticket->number; });
  if (found == tickets_.end()) return;
  Ticket& ticket = **found;
  if (news.kind == SnapshotNews::Kind::kFound) {
    bool reads = false;
    (void)catch_error([&] { reads = read(ticket, std::move(news.hit)); });
    if (reads) return;
  }
  if (news.kind == SnapshotNews::Kind::kRead) {
    const auto error = catch_error([&] { insert(ticket, news.n_read); });
    Session* const session = ticket.session.get();
    const bool is_whole = !error && news.n_read == ticket.hit.pages.size();
    if (news.n_read > 0) ++n_restores_;
    if (session != nullptr && is_whole) session->n_on_disk = ticket.hit.n_tokens;
    if (session != nullptr && is_whole && ticket.hit.n_tokens == session->n_tokens() &&
        news.logits.size() == session->runner().n_vocab()) {
      session->known_logits = std::move(news.logits);
    }
  }
  for (auto& session : ticket.followers) followers.push_back(std::move(session));
  end(ticket);
}

std::vector<std::unique_ptr<Session>> SessionSnapshots::take_ready(bool is_idle) {
  std::vector<std::unique_ptr<Session>> followers;
  for (SnapshotNews& news : desk_.take_news()) handle(news, followers);
  for (auto& session : followers) {
    if (!begin(session, is_idle)) ready_.push_back(std::move(session));
  }
  return std::exchange(ready_, {});
}

Session* SessionSnapshots::find(JobId job) const {
  for (const auto& ticket : tickets_) {
    if (ticket->session != nullptr && ticket->session->id() == job) return ticket->session.get();
    for (const auto& session : ticket->followers) {
      if (session->id() == job) return session.get();
    }
  }
  return nullptr;
}

Session* SessionSnapshots::any() const {
  for (const auto& ticket : tickets_) {
    if (ticket->session != nullptr) return ticket->session.get();
    if (!ticket->followers.empty()) return ticket->followers.front().get();
  }
  return nullptr;
}

std::unique_ptr<Session> SessionSnapshots::take_out(const Session& session) {
  for (const auto& ticket : tickets_) {
    if (ticket->session.get() == &session) return std::move(ticket->session);
    const auto here = std::ranges::find(ticket->followers, &session,
                                        [](const auto& each) { return each.get(); });
    if (here == ticket->followers.end()) continue;
    std::unique_ptr<Session> taken = std::move(*here);
    ticket->followers.erase(here);
    return taken;
  }
  return nullptr;
}

std::uint32_t SessionSnapshots::n_waiting() const {
  std::size_t n = 0;
  for (const auto& ticket : tickets_) {
    n += (ticket->session != nullptr ? 1 : 0) + ticket->followers.size();
  }
  return static_cast<std::uint32_t>(n);
}

void SessionSnapshots::note_logits(Session& session, std::span<const float> logits) const {
  if (session.n_sampled() > 0 || session.n_prompt() < tokens_min_ || !may_keep(session)) return;
  (void)catch_error([&] { session.prompt_logits.assign(logits.begin(), logits.end()); });
}

void SessionSnapshots::keep(const Session& session) {
  const std::uint32_t n_tokens = session.n_computed;
  if (!session.pages.is_open() || n_tokens < tokens_min_ || !may_keep(session)) return;
  const std::uint32_t n_pages = pages_for(n_tokens);
  const std::size_t page_bytes = session.pages.key().layout.page_bytes();
  if (!may_lend(n_pages * page_bytes)) return;
  (void)catch_error([&] {
    SnapshotDraft draft;
    draft.text = text_of(session, n_tokens);
    const auto addresses = session.pages.addresses().first(n_pages);
    draft.pages.assign(addresses.begin(), addresses.end());
    draft.layout = session.pages.key().layout;
    draft.n_prompt = session.n_prompt();
    if (n_tokens >= draft.n_prompt) draft.logits = session.prompt_logits;
    draft.token_us = session.prompt_token_us();
    draft.label = session.job.model_name;

    auto ticket = std::make_unique<Ticket>();
    const auto ids = session.pages.page_ids().first(n_pages);
    ticket->pages.assign(ids.begin(), ids.end());
    ticket->page_bytes = page_bytes;
    tickets_.reserve(tickets_.size() + 1);
    ticket->number = ++last_ticket_;
    desk_.save(ticket->number, std::move(draft));
    for (const PageId page : ids) pool_.share(page);
    lent_bytes_ += n_pages * page_bytes;
    tickets_.push_back(std::move(ticket));
  });
}

void SessionSnapshots::settle(std::chrono::steady_clock::time_point deadline) {
  HEARTH_CHECK(any() == nullptr);
  std::vector<std::unique_ptr<Session>> nobody;
  while (!tickets_.empty()) {
    if (std::chrono::steady_clock::now() >= deadline) desk_.recall();
    const auto patience = std::chrono::milliseconds(50);
    const auto soon = std::chrono::steady_clock::now() + patience;
    for (SnapshotNews& news : desk_.wait_for_news(std::max(soon, deadline))) handle(news, nobody);
  }
}

}  // namespace hearth::engine

// What sessions take from the disk and leave to it, as the engine's thread sees it.
//
// A prompt of which the disk has more than memory waits here until its pages have been read into
// the prefix cache; then it is admitted like any other and finds them there.  So restoring changes
// nothing in admission, batches or preemption, and where it fails, the prompt is computed.
// Prompts that begin alike wait for one reading.
//
// Pages that a thread of the desk reads or writes are shared with it until its news come.  They are
// lent: a session that can't have pages although nothing runs waits for them instead of failing.  Not
// more than a part of the pool is lent.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/prefix_cache.h"
#include "engine/session.h"
#include "engine/snapshot_desk.h"

namespace hearth::engine {

// Reading less than this from disk is not worth the wait.
inline constexpr std::uint32_t kRestoredTokensMin = 16;

// Threading: the engine thread's.
class SessionSnapshots {
 public:
  // All must outlive it.  Prompts and sessions under `tokens_min` are not restored and not kept.
  SessionSnapshots(KvPagePool& pool, PrefixCache& cache, SnapshotDesk& desk,
                   std::uint32_t tokens_min)
      : pool_(pool), cache_(cache), desk_(desk), tokens_min_(tokens_min) {}
  ~SessionSnapshots();  // No session may wait; what is under way is given up.
  SessionSnapshots(const SessionSnapshots&) = delete;
  SessionSnapshots& operator=(const SessionSnapshots&) = delete;

  // Has the disk looked at for the session's prompt, and takes the session meanwhile; false if that
  // can't pay: it is left where it is.  `is_idle`: nothing else is being computed.
  bool begin(std::unique_ptr<Session>& session, bool is_idle);

  // Handles the desk's news.  The sessions whose wait is over.
  std::vector<std::unique_ptr<Session>> take_ready(bool is_idle);

  // Of those that wait: null if it is none of them; any.
  Session* find(JobId job) const;
  Session* any() const;
  std::unique_ptr<Session> take_out(const Session& session);
  std::uint32_t n_waiting() const;

  // Remembers the prompt's last logits [n_vocab], if the session may be kept.
  void note_logits(Session& session, std::span<const float> logits) const;
  // Leaves what the session computed to the disk; its pages must be open.
  void keep(const Session& session);

  // Whether pages are lent, or pinned for prompts that wait: they come back by themselves.
  bool holds_pages() const { return !tickets_.empty(); }
  // What is being written is given up soon: its pages are wanted.
  void recall() { desk_.recall(); }
  // Waits for all that is under way, until `deadline`; then what is not written is given up.
  void settle(std::chrono::steady_clock::time_point deadline);

  std::uint64_t n_restores() const { return n_restores_; }

 private:
  struct Ticket {
    std::uint64_t number = 0;
    std::unique_ptr<Session> session;  // Null if it was cancelled, or where pages are written.
    std::vector<std::unique_ptr<Session>> followers;
    PrefixKey key;                     // Of a prompt that is looked for, as is what follows.
    std::vector<TokenId> tokens;
    NodeId at{};                       // Pinned: where in the cache the hit's pages go on.
    bool is_pinned = false;
    SnapshotHit hit;
    std::vector<PageId> pages;         // Lent.
    std::size_t page_bytes = 0;
  };

  bool may_keep(const Session& session) const;
  bool may_lend(std::uint64_t bytes) const;
  bool follow(std::unique_ptr<Session>& session);
  std::uint32_t walk_memory(Session& session, NodeId& at, std::uint32_t& first_page);
  void look(std::unique_ptr<Session>& session, NodeId at, std::uint32_t first_page);
  bool read(Ticket& ticket, SnapshotHit hit);
  void insert(Ticket& ticket, std::uint32_t n_read);
  void end(Ticket& ticket);
  void handle(SnapshotNews& news, std::vector<std::unique_ptr<Session>>& followers);

  KvPagePool& pool_;
  PrefixCache& cache_;
  SnapshotDesk& desk_;
  const std::uint32_t tokens_min_;
  std::vector<std::unique_ptr<Ticket>> tickets_;
  std::vector<std::unique_ptr<Session>> ready_;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t lent_bytes_ = 0;
  std::uint64_t n_restores_ = 0;
};

}  // namespace hearth::engine

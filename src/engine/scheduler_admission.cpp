// Which waiting job runs next, and whose pages or place it may have.
#include <algorithm>

#include "engine/catch_error.h"
#include "engine/scheduler.h"

namespace hearth::engine {

// Puts a session into its client's queue, by age.
void Scheduler::enqueue(std::unique_ptr<Session> session) {
  const auto [entry, is_new] = clients_.try_emplace(session->job.request.client);
  Client& client = entry->second;
  client.waiting.reserve(client.waiting.size() + 1);  // Nothing below can fail.
  // A newcomer joins the end of the line.
  if (is_new) client.admitted_at = client.prefilled_at = ++turn_;
  const auto here = std::ranges::lower_bound(client.waiting, session->id(), {},
                                             [](const auto& other) { return other->id(); });
  client.waiting.insert(here, std::move(session));
  ++n_waiting_;
}

// Ends a job that never had a place.
void Scheduler::refuse(JobId job, const std::shared_ptr<GenerateSink>& sink, Error error) {
  std::erase_if(clients_, [](const auto& entry) {
    return entry.second.waiting.empty() && entry.second.n_running == 0;
  });
  ++totals_.jobs_finished;
  FinishEvent event;
  event.reason = FinishReason::kError;
  event.error = std::move(error);
  (void)catch_error([&] { sink->on_finish(job, event); });
}

// Queues the sessions for which the disk was asked.
void Scheduler::take_restored() {
  if (snapshots_ == nullptr) return;
  std::vector<std::unique_ptr<Session>> ready;
  (void)catch_error([&] { ready = snapshots_->take_ready(running_.empty()); });
  for (auto& session : ready) {
    const JobId id = session->id();
    const std::shared_ptr<GenerateSink> sink = session->job.sink;
    auto error = catch_error([&] { enqueue(std::move(session)); });
    if (error) refuse(id, sink, std::move(*error));
  }
}

void Scheduler::admit() {
  if (n_waiting_ == 0) return;
  for (auto& [name, client] : clients_) client.is_blocked = false;
  std::uint32_t n_blocked = 0;
  while (Client* const client = next_client()) {
    const Admission admission = admit_one(*client);
    if (admission == Admission::kBlocked) {
      client->is_blocked = true;
      const bool has_waited_enough = client->waiting.front()->n_overtaken >= kOvertakesMax;
      if (has_waited_enough || ++n_blocked == kBlockedClientsMax) return;
    }
    if (admission == Admission::kAdmitted && n_blocked > 0) {
      for (auto& [name, other] : clients_) {
        if (other.is_blocked) ++other.waiting.front()->n_overtaken;
      }
    }
  }
}

std::uint32_t Scheduler::most_running() const {
  std::uint32_t n_most = 0;
  for (const auto& [name, client] : clients_) n_most = std::max(n_most, client.n_running);
  return n_most;
}

// The client whose turn it is: the one that was admitted longest ago, and when the batch is full,
// only if it has so few sessions that another one should give it a place.
Scheduler::Client* Scheduler::next_client() {
  const bool is_full = running_.size() >= options_.n_batch_sessions_max;
  const std::uint32_t n_most = is_full ? most_running() : 0;
  Client* next = nullptr;
  for (auto& [name, client] : clients_) {
    if (client.waiting.empty() || client.is_blocked) continue;
    if (is_full && client.n_running + 2 > n_most) continue;
    if (next == nullptr || client.admitted_at < next->admitted_at) next = &client;
  }
  return next;
}

// The youngest session of the client with the most sessions.
Session& Scheduler::youngest_of_greediest() const {
  const std::uint32_t n_most = most_running();
  const auto youngest = std::find_if(running_.rbegin(), running_.rend(), [&](const auto& session) {
    return clients_.find(session->job.request.client)->second.n_running == n_most;
  });
  return **youngest;
}

// One page is left for each running session, so that the newcomer is not preempted at once.
Result<std::uint32_t> Scheduler::open_pages(Session& session) {
  return session.pages.open(session.tokens, static_cast<std::uint32_t>(running_.size()),
                            !session.known_logits.empty());
}

// Whether pages that a disk's thread has are all that is missing.
bool Scheduler::waits_for_lent_pages() {
  if (snapshots_ == nullptr || !snapshots_->holds_pages()) return false;
  snapshots_->recall();
  return true;
}

Scheduler::Admission Scheduler::admit_one(Client& client) {
  Session& session = *client.waiting.front();
  if (running_.size() >= options_.n_batch_sessions_max) preempt(youngest_of_greediest());

  Result<std::uint32_t> n_known = 0U;
  const auto error = catch_error([&] {
    client.waiting.reserve(client.waiting.size() + client.n_running + 1);  // For `preempt`.
    n_known = open_pages(session);
    if (!n_known && drop_drafters()) n_known = open_pages(session);
    if (!n_known && yield_pages(client, session)) n_known = open_pages(session);
  });
  if (error || (!n_known && running_.empty() && !waits_for_lent_pages())) {
    fail_job(session, error ? *error : n_known.error());
    return Admission::kEnded;
  }
  if (!n_known) return Admission::kBlocked;
  start(client, *n_known);
  return Admission::kAdmitted;
}

// Preempts the greediest client's youngest session where that lets `waiting` in; once per job.
bool Scheduler::yield_pages(const Client& client, Session& waiting) {
  if (waiting.has_asked_for_pages || client.n_running + 2 > most_running()) return false;
  Session& victim = youngest_of_greediest();
  const std::uint64_t victim_bytes =
      victim.pages.n_pages() * victim.runner().kv_layout().page_bytes();
  const std::uint64_t cached_bytes = cache_ != nullptr ? cache_->bytes_cached() : 0;
  const std::uint64_t wanted_bytes = (pages_for(waiting.n_tokens()) + running_.size()) *
                                     waiting.runner().kv_layout().page_bytes();
  if (pool_.bytes_max() - pool_.bytes_used() + cached_bytes + victim_bytes < wanted_bytes) {
    return false;
  }
  waiting.has_asked_for_pages = true;
  preempt(victim);
  return true;
}

// Moves the client's first job, which has its pages, to the running ones.
void Scheduler::start(Client& client, std::uint32_t n_known) {
  std::unique_ptr<Session> session = std::move(client.waiting.front());
  client.waiting.erase(client.waiting.begin());
  --n_waiting_;
  ++client.n_running;
  client.admitted_at = ++turn_;
  session->n_computed = n_known;
  session->is_running = true;
  if (!session->was_preempted) {
    session->n_cached = n_known;
    const std::uint32_t n_on_disk = std::min(n_known, session->n_on_disk);
    session->n_restored = n_on_disk - std::min(n_on_disk, session->n_in_memory);
    totals_.prompt_tokens += session->n_prompt();
    totals_.cached_tokens += n_known;
    totals_.restored_tokens += session->n_restored;
  }
  Session& started = *session;
  const auto here = std::lower_bound(
      running_.begin(), running_.end(), session->id(),
      [](const std::unique_ptr<Session>& other, JobId id) { return other->id() < id; });
  running_.insert(here, std::move(session));  // Reserved in the constructor.
  if (started.n_pending() == 0) deliver_known(started);
}

}  // namespace hearth::engine

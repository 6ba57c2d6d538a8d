#include "engine/scheduler.h"

#include <algorithm>

#include "base/log.h"
#include "engine/catch_error.h"

namespace hearth::engine {
namespace {

bool is_older(const std::unique_ptr<Session>& a, JobId id) { return a->id() < id; }

}  // namespace

Scheduler::Scheduler(const EngineOptions& options, KvPagePool& pool, const Clock& clock,
                     SnapshotDesk* desk)
    : options_(options), pool_(pool), clock_(clock) {
  if (options.prefix_cache) cache_ = std::make_unique<PrefixCache>(pool);
  if (desk != nullptr && cache_ != nullptr) {
    snapshots_ = std::make_unique<SessionSnapshots>(pool, *cache_, *desk,
                                                    options.snapshots.tokens_min);
  }
  running_.reserve(options.n_batch_sessions_max);
  rows_.reserve(options.n_batch_sessions_max);
  prompts_.reserve(options.n_batch_sessions_max);
  segments_.reserve(options.n_batch_sessions_max);
  model_turns_.reserve(kModelTurnsMax + options.n_batch_sessions_max);
  drafting_.reserve(options.n_batch_sessions_max);
  publish_stats();
}

Scheduler::~Scheduler() { HEARTH_CHECK(running_.empty() && n_waiting_ == 0); }

bool Scheduler::step() {
  take_restored();
  admit();
  StepRunner* const runner = next_model();
  if (runner == nullptr) {
    publish_stats();
    return false;
  }
  const std::uint64_t identity = runner->identity();
  const std::uint32_t n_vocab = runner->n_vocab();
  grow(identity);
  plan(identity);
  if (!rows_.empty()) {
    const StepTokens tokens = tokens_of_step();
    const std::int64_t start_ns = clock_.now_monotonic_ns();
    if (run(*rows_.front().session->job.runner)) {
      deliver(n_vocab);
      const auto took_ns = static_cast<double>(clock_.now_monotonic_ns() - start_ns);
      turn_of(identity).costs.learn(tokens.n_decoded, tokens.n_prompt, took_ns * 1e-6);
    }
  }
  publish_stats();
  return true;
}

void Scheduler::submit(Job job) {
  const JobId id = job.id;
  const std::shared_ptr<GenerateSink> sink = job.sink;
  auto error = catch_error([&] {
    auto session = std::make_unique<Session>(std::move(job), pool_, cache_.get());
    if (snapshots_ != nullptr && snapshots_->begin(session, running_.empty())) return;
    enqueue(std::move(session));
  });
  if (error) refuse(id, sink, std::move(*error));
  publish_stats();
}

void Scheduler::settle(std::chrono::steady_clock::time_point deadline) {
  if (snapshots_ != nullptr) snapshots_->settle(deadline);
  publish_stats();
}

Session* Scheduler::find(JobId job) {
  for (const auto& session : running_) {
    if (session->id() == job) return session.get();
  }
  if (snapshots_ != nullptr) {
    if (Session* const session = snapshots_->find(job); session != nullptr) return session;
  }
  for (const auto& [name, client] : clients_) {
    const auto& waiting = client.waiting;
    const auto here = std::lower_bound(waiting.begin(), waiting.end(), job, is_older);
    if (here != waiting.end() && (*here)->id() == job) return here->get();
  }
  return nullptr;
}

void Scheduler::cancel(JobId job) {
  Session* const session = find(job);
  if (session == nullptr) return;
  finish(*session, Verdict{true, FinishReason::kCancelled});
}

void Scheduler::cancel_all() {
  while (!running_.empty()) finish(*running_.back(), Verdict{true, FinishReason::kCancelled});
  while (!clients_.empty()) {
    finish(*clients_.begin()->second.waiting.back(), Verdict{true, FinishReason::kCancelled});
  }
  while (snapshots_ != nullptr && snapshots_->any() != nullptr) {
    finish(*snapshots_->any(), Verdict{true, FinishReason::kCancelled});
  }
}

void Scheduler::fail_all(const Error& error) {
  while (!running_.empty()) fail_job(*running_.back(), error);
  while (!clients_.empty()) fail_job(*clients_.begin()->second.waiting.back(), error);
  while (snapshots_ != nullptr && snapshots_->any() != nullptr) fail_job(*snapshots_->any(), error);
}

Scheduler::Client& Scheduler::client_of(const Session& session) {
  return clients_.find(session.job.request.client)->second;
}

// Removes a session from wherever it is; its client goes with its last job.
std::unique_ptr<Session> Scheduler::take_out(const Session& session) {
  if (snapshots_ != nullptr) {
    if (auto waiting = snapshots_->take_out(session); waiting != nullptr) return waiting;
  }
  const auto client = clients_.find(session.job.request.client);
  const bool is_running = session.is_running;
  auto& list = is_running ? running_ : client->second.waiting;
  const auto here = std::lower_bound(list.begin(), list.end(), session.id(), is_older);
  HEARTH_CHECK(here != list.end() && here->get() == &session);
  std::unique_ptr<Session> taken = std::move(*here);
  list.erase(here);
  --(is_running ? client->second.n_running : n_waiting_);
  if (client->second.waiting.empty() && client->second.n_running == 0) clients_.erase(client);
  return taken;
}

// Sends a running session back to its client's queue.  Its client stays: it has this job.
void Scheduler::preempt(Session& session) {
  ++totals_.preemptions;
  Client& client = client_of(session);
  ++client.n_running;  // Keeps the client while the job is in nobody's hands.
  std::unique_ptr<Session> taken = take_out(session);
  --client.n_running;
  taken->close_pages();
  taken->n_computed = 0;
  taken->is_running = false;
  taken->was_preempted = true;
  // `start` left room for it.
  const auto here =
      std::lower_bound(client.waiting.begin(), client.waiting.end(), taken->id(), is_older);
  client.waiting.insert(here, std::move(taken));
  ++n_waiting_;
}

void Scheduler::finish(Session& session, const Verdict& verdict) {
  FinishEvent event;
  const auto error = catch_error(
      [&] { event = session.finish_event(verdict.reason, clock_.now_monotonic_ns()); });
  if (error) return fail_job(session, *error);
  event.unsure = verdict.unsure;
  end(take_out(session), event);
}

// Needs no memory to succeed.
void Scheduler::fail_job(Session& session, const Error& error) {
  FinishEvent event;
  (void)catch_error([&] {
    event = session.finish_event(FinishReason::kError, clock_.now_monotonic_ns());
  });
  event.reason = FinishReason::kError;
  auto copying = catch_error([&] { event.error = error; });
  if (copying) event.error = std::move(*copying);
  end(take_out(session), event);
}

// The last thing that happens to a job.  Its pages are free and the statistics know of it before its
// sink does.
void Scheduler::end(std::unique_ptr<Session> session, const FinishEvent& event) {
  if (snapshots_ != nullptr && event.reason != FinishReason::kError) snapshots_->keep(*session);
  session->close_pages();
  ++totals_.jobs_finished;
  publish_stats();
  const auto error = catch_error([&] { session->job.sink->on_finish(session->id(), event); });
  if (error) (void)catch_error([&] { log_error("engine", "a sink threw in on_finish"); });
}

void Scheduler::publish_stats() {
  totals_.kv_pages_used = pool_.pages_used();
  totals_.kv_bytes_used = pool_.bytes_used();
  totals_.kv_bytes_max = pool_.bytes_max();
  totals_.kv_pages_cached = cache_ != nullptr ? cache_->pages_cached() : 0;
  totals_.jobs_running = static_cast<std::uint32_t>(running_.size());
  totals_.jobs_waiting = n_waiting_;
  if (snapshots_ != nullptr) {
    totals_.jobs_waiting += snapshots_->n_waiting();
    totals_.restores = snapshots_->n_restores();
  }
  const std::lock_guard lock(stats_mutex_);
  published_ = totals_;
}

EngineStats Scheduler::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return published_;
}

}  // namespace hearth::engine

// Who computes next: admission, batches, fairness, preemption.
//
// One thread drives it: `submit` and `cancel` put work in, each `step` runs one batch of
// one model.  It knows no threads, no weights and no real clock, so the simulation test
// runs thousands of jobs through it in one second, from one printed seed.
//
// A step, in order:
//   admit    waiting jobs become sessions with pages for all of their prompt, all or none
//   choose   the model that waited longest (a batch holds sessions of one model)
//   grow     one page for each session that decodes into a new page; the youngest are
//            preempted if pages run out
//   plan     one token of every decoding session, with drafts of the next where few decode
//            (scheduler_drafts.cpp), then prompt chunks up to a budget that is smaller while
//            others decode, so that a long prompt does not stall them
//   run      the batch
//   deliver  sample, tell the sinks, end what has ended
//
// Pages are taken for the prompt at admission and page by page while decoding, not for
// max_tokens at once: most answers end long before their limit, and what is reserved for
// them would keep others out.  The price is preemption when pages run out.  It loses
// little: the youngest job's pages go to the prefix cache, the job goes back to the queue
// with its age, and what is still cached when it returns is not computed again.  Since a
// job is accepted only if it fits the empty arena, and all younger ones are preempted
// before an older one is, the oldest job always finishes.
//
// Fairness: clients are served in turn, each client's jobs by age.  A client without its
// share of the batch may send the greediest client's youngest job back to the queue.  A
// job that waits for pages may be overtaken by smaller ones kOvertakesMax times.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/draft_account.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "engine/session_snapshots.h"
#include "engine/step_costs.h"

namespace hearth::engine {

// A prompt that waits for pages lets at most so many younger jobs go first.
inline constexpr std::uint32_t kOvertakesMax = 32;
// While others decode, prompts make a round of steps at most so many times longer (scheduler_budget.cpp):
// under 3, so that the longest gaps between tokens stay below three times the usual one.
inline constexpr double kStallFactor = 2.25;
// Fewer tokens of a prompt per step would hardly get on.
inline constexpr std::uint32_t kStalledPromptTokensMin = 8;
// Before steps have shown what they cost, this part of prefill_chunk_tokens.
inline constexpr std::uint32_t kStallDivisor = 4;

// Tokens in a batch of decoding sessions, drafts among them, up to which a draft costs next to
// nothing: the weights have to be read anyway.
inline constexpr std::uint32_t kSpeculativeBatchTokens = 8;

// Clients whose next job got no pages, after which a round of admission ends: each try costs a walk
// through the prefix cache.
inline constexpr std::uint32_t kBlockedClientsMax = 4;
// Models whose turns are remembered before the idle ones are forgotten.
inline constexpr std::size_t kModelTurnsMax = 64;

// Threading: externally synchronised; `stats` may be called from any thread.  Sinks are called from
// inside step, cancel and cancel_all; they must not call back into the scheduler.
class Scheduler {
 public:
  // `pool`, `clock` and `desk`, which may be null, must outlive it.
  Scheduler(const EngineOptions& options, KvPagePool& pool, const Clock& clock,
            SnapshotDesk* desk = nullptr);
  ~Scheduler();  // All jobs must have ended: call cancel_all.
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Queues a job.  Ids must ascend: they are the jobs' ages.  If memory runs out the sink gets its
  // on_finish at once.
  void submit(Job job);

  // Ends a job with kCancelled; no effect if there is none with this id.
  void cancel(JobId job);
  void cancel_all();
  // Ends all jobs with kError.
  void fail_all(const Error& error);

  // Runs one batch.  False if there was nothing to do, until a job or the desk's news come.
  bool step();

  // Waits until the desk has written what ended sessions left, at the latest until `deadline`.
  void settle(std::chrono::steady_clock::time_point deadline);

  EngineStats stats() const;

 private:
  struct Client {
    std::vector<std::unique_ptr<Session>> waiting;  // Oldest first.
    std::uint32_t n_running = 0;
    std::uint64_t admitted_at = 0;     // Turn of the last admission,
    std::uint64_t prefilled_at = 0;    // and of the last prompt chunk: least goes next.
    bool is_blocked = false;           // Its next job got no pages in this round.
  };
  struct Turn {                        // A model of running sessions:
    std::uint64_t identity;
    std::uint64_t turn = 0;            // when it had its last batch,
    StepCosts costs = {};              // what its steps take,
    std::uint32_t n_decoding = 0;      // and its sessions, as count_demand found them.
    std::uint32_t n_prompts = 0;
  };
  struct Demand {                      // Of all running sessions.
    std::uint32_t n_decoding = 0;
    std::uint32_t n_prompts = 0;
    std::uint32_t n_prefilling_models = 0;
    double round_ms = 0;               // One step of each model, prompts left out.
    bool is_known = true;              // Whether round_ms is.
  };
  struct Row {                         // One session's part of a batch.
    Session* session;
    std::uint32_t n_tokens;            // Known ones, of session->tokens.
    std::uint32_t n_drafted = 0;       // Then so many of session->run.
    bool is_by_model = false;          // By the session's draft model.
    std::uint32_t n_logits() const {
      return n_tokens == session->n_pending() ? 1 + n_drafted : 0;
    }
  };
  struct StepTokens {                  // In a batch.
    std::uint32_t n_decoded = 0;
    std::uint32_t n_prompt = 0;
  };
  struct DraftRow {                    // A row that a draft model drafts for.
    Row* row;
    std::uint32_t n_wanted;            // Drafts; 0: it only catches up.
    std::uint32_t n_catching_up;       // Tokens of the first pass.
  };
  struct Prompt {                      // A session that has more than one token to compute.
    Client* client;
    Session* session;
  };

  enum class Admission : std::uint8_t { kAdmitted, kBlocked, kEnded };

  // Admission (scheduler_admission.cpp).
  void enqueue(std::unique_ptr<Session> session);
  void refuse(JobId job, const std::shared_ptr<GenerateSink>& sink, Error error);
  void take_restored();
  void admit();
  Client* next_client();
  std::uint32_t most_running() const;
  Admission admit_one(Client& client);
  bool yield_pages(const Client& client, Session& waiting);
  Session& youngest_of_greediest() const;
  Result<std::uint32_t> open_pages(Session& session);
  bool waits_for_lent_pages();
  void start(Client& client, std::uint32_t n_known);

  // One batch (scheduler_batch.cpp).
  StepRunner* next_model();
  Turn& turn_of(std::uint64_t identity);
  void grow(std::uint64_t identity);
  bool grow_one(Session& session);
  void plan(std::uint64_t identity);
  void plan_prompts(std::uint32_t budget_tokens);
  Demand count_demand();
  std::uint32_t prompt_budget(std::uint64_t identity);
  StepTokens tokens_of_step() const;
  void adopt_cached(Session& session);
  bool is_computed_by_other_row(const Session& session) const;
  Result<> reserve(StepRunner& runner);
  bool run(StepRunner& runner);
  Result<> run_guarded(StepRunner& runner);
  void deliver(std::uint32_t n_vocab);
  void deliver_row(const Row& row, std::span<float> logits, std::uint32_t n_vocab);
  void deliver_known(Session& session);
  void conclude(Session& session, const std::optional<Error>& error,
                const Result<Verdict>& verdict);
  Result<Verdict> take_run(const Row& row, std::span<float> logits, std::uint32_t n_vocab);

  // Drafts (scheduler_drafts.cpp).
  void plan_drafts();
  std::uint32_t draft(Session& session, std::uint32_t n_max);
  void plan_model_drafts(std::uint32_t n_batch);
  std::uint32_t plan_model_draft(Row& row, std::uint32_t n_max, std::uint32_t& budget_tokens);
  Result<> run_draft_passes();
  Result<> run_draft_pass(StepRunner& runner, std::uint32_t pass);
  Result<> take_guesses(const StepRunner& runner, std::uint32_t pass, std::size_t stride);
  void learn_drafts(const Row& row, std::uint32_t n_taken);
  void time_step(std::int64_t ns);
  DraftAccount& account_of(const Session& session);
  static void bar_drafter(Session& session);
  bool drop_drafters();

  // Ends and returns (scheduler.cpp).
  Client& client_of(const Session& session);
  void preempt(Session& session);
  void finish(Session& session, const Verdict& verdict);
  void fail_job(Session& session, const Error& error);
  void end(std::unique_ptr<Session> session, const FinishEvent& event);
  Session* find(JobId job);
  std::unique_ptr<Session> take_out(const Session& session);
  void publish_stats();

  EngineOptions options_;
  KvPagePool& pool_;
  const Clock& clock_;
  std::unique_ptr<PrefixCache> cache_;                // Null if options say so.
  std::unique_ptr<SessionSnapshots> snapshots_;       // Null without a desk or a cache.
  std::map<std::string, Client, std::less<>> clients_;  // Those with jobs.
  std::vector<std::unique_ptr<Session>> running_;     // Oldest first.
  std::uint32_t n_waiting_ = 0;
  std::uint64_t turn_ = 0;                            // Counts everything that takes turns.
  std::vector<Turn> model_turns_;                     // Of models with running sessions.
  std::vector<std::uint64_t> reserved_;               // Identities of models with room for a batch.
  // By the identities of a model and of the one that drafts for it.
  std::map<std::pair<std::uint64_t, std::uint64_t>, DraftAccount> draft_accounts_;

  // Working memory of a step; only grows.
  std::vector<Row> rows_;
  std::vector<Prompt> prompts_;
  std::vector<model::Segment> segments_;
  std::vector<float> logits_;
  std::vector<DraftRow> drafting_;
  std::vector<float> draft_logits_;
  SamplerScratch scratch_;
  TokenEvent event_;

  EngineStats totals_;                                // Counters, by the owner thread.
  mutable std::mutex stats_mutex_;
  EngineStats published_;                             // What `stats` returns.
};

}  // namespace hearth::engine

// The hub's implementation: one thread that owns every request's state and moves it on.
//
// The conductor's thread never waits for anything but its mailbox.  What takes time runs
// elsewhere and reports back by message: models load on the shelf's thread, prompts are
// laid out and tokenised on the preparer's, the engine and the adviser have their own,
// and the ledger has its writer.  So there is no lock around request state, and a cancel
// is just one more message.
//
// A receipt is stored before its answer's last call: what a client has seen end, the
// ledger knows.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "advisor/adviser.h"
#include "advisor/gate/ask_policy.h"
#include "advisor/gate/learned.h"
#include "advisor/memory/advice_store.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "engine/engine.h"
#include "hub/embedding_desk.h"
#include "hub/hub.h"
#include "hub/privacy_gate.h"
#include "hub/run.h"
#include "hub/tasks/task_router.h"
#include "hub/worker.h"
#include "ledger/writer.h"

namespace hearth::hub {

// What a conductor works with; it owns all of it.  Members are destroyed in reverse order.
struct ConductorParts {
  std::unique_ptr<ledger::Ledger> ledger;
  std::unique_ptr<ledger::LedgerWriter> writer;  // Of `ledger`.
  std::unique_ptr<net::HttpClient> http;         // Null without an adviser and upstreams.
  std::unique_ptr<PrivacyGate> privacy = {};     // What may leave; null: as the standard policy says.
  std::shared_ptr<advisor::ConsentDesk> consents = {};  // Null: nobody is asked for consent.
  std::unique_ptr<advisor::AdviceStore> advice_store = {};  // Null: nothing is remembered, nothing deferred.
  std::unique_ptr<advisor::Adviser> adviser;     // Null: nothing ever leaves.
  std::unique_ptr<UpstreamDirectory> upstreams = {};  // Null, as the next two: there are none.
  std::unique_ptr<LlamaServer> llama = {};
  std::unique_ptr<UpstreamDesk> upstream_desk = {};
  std::unique_ptr<TaskRouter> tasks = {};  // Null: "auto" is the default, whatever is asked.
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<ModelShelf> shelf;
  std::unique_ptr<EmbeddingDesk> embedding_desk = {};  // Null: nothing is embedded.
};

struct ConductorOptions {
  AdviceMode default_advice = AdviceMode::kAuto;
  double threshold = 0.5;  // Where there is no adviser to bring its own.
  std::uint32_t requests_max = 1024;
  std::string default_upstream;  // SERVER/MODEL that "auto" and "local" mean; empty: the shelf's.
  advisor::gate::AskPolicy ask;  // When the adviser is asked.
  std::filesystem::path learned_folder;  // Calibrations and outcomes.
  std::string second_model;  // Whose answer drafts are held against; empty: nobody's.
  bool asks_early = false;   // Once a draft is unsure, which then goes on meanwhile.
  bool defers = false;  // Keep questions for which no adviser was reached, in the advice store.
  bool keeps_unstored = false;  // Snapshots also of requests that say `store: false`.
};

class Conductor final : public Hub {
 public:
  Conductor(ConductorParts parts, ConductorOptions options, const Clock& clock = Clock::system());
  ~Conductor() override;

  Result<RequestId> chat(ChatRequest request, std::shared_ptr<ChatSink> sink) override;
  Result<> embed(EmbeddingRequest request, EmbeddingDone done) override;
  Result<> rerank(RerankRequest request, RerankDone done) override;
  void cancel(RequestId request) override { inbox_.put(CancelRun{request}); }
  std::vector<advisor::DeparturePtr> consents(std::string_view client) const override;
  Result<> answer_consent(std::string_view id, std::string_view client, bool is_allowed, bool is_remembered) override;
  std::vector<ModelEntry> models() const override;
  MemoryReport memory() override;
  void refresh_models() override { parts_.shelf->refresh(); }
  Result<> unload(const std::string& model) override { return parts_.shelf->unload(model); }
  Result<> set_pinned(const std::string& model, bool is_pinned) override {
    return parts_.shelf->set_pinned(model, is_pinned);
  }
  Result<ReadyModelPtr> ready_model(const std::string& name) override;
  HubStats stats() const override;
  Result<> health() override;
  std::vector<UpstreamState> upstreams() const override;
  void shutdown(std::chrono::milliseconds grace) override;

 private:
  class JobSink;
  class ProbeSink;
  class AdviceRelay;
  class UpstreamRelay;

  void conduct();

  // A message each; called on the conductor's thread.
  void on(Admitted& message);
  void on(ModelReady& message);
  void on(SecondReady& message);
  void on(PromptReady& message);
  void on(TokenMade& message);
  void on(JobEnded& message);
  void on(AdviceCame& message);
  void on(RequestCleared& message);
  void on(DepartureNear& message);
  void on(UpstreamSaid& message);
  void on(UpstreamStatus& message);
  void on(UpstreamEnded& message);
  void on(ReceiptStored& message);
  void on(CancelRun& message);
  void on(CancelAll& message);
  void on(Probe& message);
  void on(ProbeAnswered& message);
  void on(Stop& message);

  // Which model a request means (conductor_upstream.cpp, as what follows).
  Result<ModelChoice> choose(const ChatRequest& request) const;
  std::string refuse_task(const Result<ModelChoice>& choice, const ChatRequest& request) const;
  Result<ModelChoice> resolve(const std::string& name) const;
  Result<ModelChoice> resolve_default_upstream(bool is_auto) const;
  Result<ModelChoice> resolve_foreign(const std::string& name, Error problem) const;
  UpstreamTarget child_target(const store::CatalogueEntry& entry) const;
  void plan_upstream(Run& run, UpstreamTarget target) const;
  void begin_upstream(Run& run);
  void ask_upstream(Run& run, ClearedRequest cleared);
  void list_upstreams(std::vector<ModelEntry>& entries) const;

  // The steps of a run.
  void begin_draft(Run& run, const Prompt& prompt);
  void begin_final(Run& run, const Prompt& prompt);
  Result<> submit(Run& run, std::uint32_t choice, const Prompt& prompt);
  // Whether advice is due (conductor_advice.cpp, as what follows).
  void plan_holding(Run& run);
  void end_draft(Run& run);
  void judge_draft(Run& run);
  // Asking while the draft goes on (conductor_early.cpp).
  bool may_ask_early(const Run& run) const;
  void ask_early(Run& run);
  bool is_late_draft(Run& run, const JobEnded& message);
  void end_early_draft(Run& run, const JobEnded& message);
  bool settle_early(Run& run, advisor::Advice& advice);
  // A second opinion (conductor_second.cpp).
  void plan_second(Run& run) const;
  bool wants_second(const Run& run) const;
  void begin_second(Run& run);
  void ask_second(Run& run, const Prompt& prompt);
  void end_second(Run& run, const engine::FinishEvent& event);
  std::shared_ptr<engine::GenerateSink> make_job_sink(RequestId run, Stage stage);
  bool may_show_early(const Run& run, const Answer& answer) const;
  advisor::gate::Situation situation_of(Run& run);
  std::string kind_of(const Run& run) const;
  std::int64_t expected_price_usd_micro(const Run& run) const;

  void ask_adviser(Run& run, const std::string& rule);
  bool defer(const Run& run, const std::string& why);
  void prepare(Run& run, Stage stage, std::vector<Message> messages);
  void relay_advice(Run& run);
  void end_without_final(Run& run);
  void end_without_advice(Run& run, advisor::Advice advice);
  void give_draft(Run& run, AdviceOutcome outcome, std::string detail);
  void take(Run& run, std::uint32_t choice, Piece piece);
  void take_end(Run& run, std::uint32_t choice, const engine::FinishEvent& event);
  void release_held(Run& run, Answer& answer);
  void end_choice(Run& run, std::uint32_t choice);
  void show(Run& run, std::uint32_t choice, const Piece& piece);
  void show(Run& run, std::uint32_t choice, std::string text);
  void account(Run& run, const engine::FinishEvent& event, bool is_final);
  void cancel_run(Run& run);
  void end_count(Run& run, std::size_t n_tokens);
  void store_receipt(Run& run);
  Result<store::CatalogueEntry> encoder_entry(const std::string& name) const;
  template <class Made>
  std::function<void(Result<Made>)> with_receipt(const std::string& model, const std::string& client,
                                                 std::function<void(Result<Made>)> done);
  void fail_run(Run& run, Error error);
  void forget(RequestId id);

  Run* find(RequestId id);
  double ms_since(std::int64_t start_ns) const;
  Result<std::unique_ptr<Run>> plan(ChatRequest request, std::shared_ptr<ChatSink> sink);

  const ConductorOptions options_;
  const Clock& clock_;
  Mailbox<RunMessage> inbox_;  // Before the parts: they send until they are gone.
  ConductorParts parts_;
  advisor::gate::LearnedShelf learned_;  // The preparer's thread alone reads it.
  std::unique_ptr<Worker> preparer_ = std::make_unique<Worker>();
  std::unique_ptr<Worker> clearer_ = std::make_unique<Worker>();  // Of requests that are to leave; defers questions.

  // The conductor's own.
  std::unordered_map<RequestId, std::unique_ptr<Run>> runs_;
  bool is_stopping_ = false;
  std::int64_t engine_probe_ns_ =
      0;                            // When the engine was given a probe that is still out; 0: none.
  std::uint64_t engine_steps_ = 0;  // When last looked at,
  std::int64_t engine_moved_ns_ = 0;  // and when they had last changed.

  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable all_done_;
  std::uint64_t last_id_ = 0;
  std::uint32_t n_runs_ = 0;       // Until their sinks have had their last call.
  std::uint32_t n_answering_ = 0;  // Until just before it.
  bool is_accepting_ = true;
  HubStats stats_;
  std::int64_t probe_sent_ns_ = 0;  // 0: none is out.
  bool is_engine_stuck_ = false;

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace hearth::hub

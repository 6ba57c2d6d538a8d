// The conductor's part for callers, from any thread: what is asked for is planned and admitted; models, figures and
// health are told.
#include <fmt/format.h>

#include <future>
#include <utility>

#include "base/log.h"
#include "hub/conductor.h"
#include "hub/receipt_json.h"
#include "ledger/receipt_id.h"

namespace hearth::hub {
namespace {

constexpr std::int64_t kMsNs = 1'000'000;
constexpr std::int64_t kConductorSilenceNs = 2'000 * kMsNs;  // A probe unanswered for longer: stuck.
constexpr std::int64_t kEngineSilenceNs = 30'000 * kMsNs;    // A step on a slow machine takes seconds.

Result<> check_request(const ChatRequest& request) {
  if (request.messages.empty() && request.prompt.empty() && !request.counts_only) {
    return fail(Code::kInvalidArgument, "there is neither a message nor a prompt");
  }
  if (request.n < 1 || request.n > kChoicesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("n is {}, it may be 1 to {}", request.n, kChoicesMax));
  }
  return request.sampling.validate();
}

// What a receipt says of a request's adapters.
std::string receipt_text(std::span<const AdapterEntry> adapters) {
  std::vector<AdapterWish> named;
  for (const AdapterEntry& adapter : adapters) named.push_back({adapter.entry.name, adapter.weight});
  return adapter_list(named);
}

Result<> check_can_chat(const store::CatalogueEntry& entry) {
  if (!model::is_encoder_architecture(entry.architecture)) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("the model '{}' embeds texts (/v1/embeddings) and can't chat; name "
                          "another model",
                          entry.name));
}

}  // namespace

class Conductor::ProbeSink final : public engine::GenerateSink {
 public:
  explicit ProbeSink(Mailbox<RunMessage>& inbox) : inbox_(inbox) {}
  void on_token(engine::JobId, const engine::TokenEvent&) override {}
  void on_finish(engine::JobId, const engine::FinishEvent&) override {
    inbox_.put(ProbeAnswered{});
  }

 private:
  Mailbox<RunMessage>& inbox_;
};

Result<std::unique_ptr<Run>> Conductor::plan(ChatRequest request, std::shared_ptr<ChatSink> sink) {
  HEARTH_TRY_VOID(check_request(request));
  HEARTH_TRY(ModelChoice choice, choose(request));
  if (!choice.upstream) {
    HEARTH_TRY_VOID(check_can_chat(choice.candidates.front()));
    HEARTH_TRY(const std::vector<AdapterEntry> more,
               parts_.shelf->resolve_adapters(request.adapters));
    choice.adapters.insert(choice.adapters.end(), more.begin(), more.end());
  }

  auto run = std::make_unique<Run>();
  run->receipt.adapter = receipt_text(choice.adapters);
  run->receipt.choice = choice.why;
  run->adapter_entries = std::move(choice.adapters);
  run->candidates = std::move(choice.candidates);
  const AdviceMode unsaid = choice.is_auto ? options_.default_advice : AdviceMode::kNever;
  run->rules = {.mode = request.advice.value_or(unsaid),
                .is_configured = parts_.adviser != nullptr,
                .may_leave = choice.may_leave,
                .is_chat = !request.messages.empty(),
                .n_choices = request.n,
                .threshold = parts_.adviser != nullptr ? parts_.adviser->options().threshold
                                                       : options_.threshold,
                .policy = options_.ask};
  run->receipt.at_unix_us = clock_.now_unix_us();
  run->receipt.id = ledger::make_receipt_id(run->receipt.at_unix_us);
  run->receipt.client = request.client;
  run->admitted_ns = clock_.now_monotonic_ns();
  run->request = std::move(request);
  run->sink = std::move(sink);
  if (choice.upstream) plan_upstream(*run, *std::move(choice.upstream));
  plan_second(*run);
  return run;
}

Result<RequestId> Conductor::chat(ChatRequest request, std::shared_ptr<ChatSink> sink) {
  HEARTH_TRY(std::unique_ptr<Run> run, plan(std::move(request), std::move(sink)));
  {
    const std::lock_guard lock(mutex_);
    if (!is_accepting_) return fail(Code::kUnavailable, "Hearth is shutting down");
    if (n_answering_ >= options_.requests_max) {
      return fail(Code::kUnavailable, fmt::format("{} requests are running, which is the limit; "
                                                  "try again in a moment",
                                                  n_answering_));
    }
    ++n_answering_;
    ++n_runs_;
    ++stats_.requests;
    run->id = RequestId{++last_id_};
  }
  const RequestId id = run->id;
  inbox_.put(Admitted{std::move(run)});
  return id;
}

Result<ReadyModelPtr> Conductor::ready_model(const std::string& name) {
  HEARTH_TRY(ModelChoice choice, resolve(name));
  if (choice.upstream) {
    return fail(Code::kUnsupported,
                fmt::format("'{}' is run by another program, which has its vocabulary and template: ask that one", name));
  }
  const auto promise = std::make_shared<std::promise<Result<Loaded>>>();
  parts_.shelf->get(std::move(choice.candidates), {}, [promise](Result<Loaded> made) { promise->set_value(std::move(made)); });
  HEARTH_TRY(Loaded loaded, promise->get_future().get());
  return std::move(loaded.model);
}

// The model of a request that the embedding desk serves.
Result<store::CatalogueEntry> Conductor::encoder_entry(const std::string& name) const {
  if (name.empty() || name == "auto" || name == "local") {
    return fail(Code::kInvalidArgument,
                "the numbers of different encoders don't compare, so there is no default: name the "
                "model");
  }
  HEARTH_TRY(ModelChoice choice, parts_.shelf->resolve(name));
  if (!choice.adapters.empty()) {
    return fail(Code::kInvalidArgument,
                "adapters change decoders, and an encoder has none: name the model by itself");
  }
  {
    const std::lock_guard lock(mutex_);
    if (!is_accepting_) return fail(Code::kUnavailable, "Hearth is shutting down");
  }
  if (parts_.embedding_desk == nullptr)
    return fail(Code::kUnsupported, "this hub runs no encoders");
  return std::move(choice.candidates.front());
}

// `done`, called with what was made once its receipt is stored; with an error at once.
template <class Made>
std::function<void(Result<Made>)> Conductor::with_receipt(const std::string& model, const std::string& client,
                                                          std::function<void(Result<Made>)> done) {
  Receipt receipt{.at_unix_us = clock_.now_unix_us(), .model = model, .end = "stop", .client = client};
  receipt.id = ledger::make_receipt_id(receipt.at_unix_us);
  return [this, receipt, done = std::move(done),
          start_ns = clock_.now_monotonic_ns()](Result<Made> made) mutable {
    if (!made) return done(std::move(made));
    receipt.usage.prompt_tokens = made->prompt_tokens;
    receipt.total_ms = ms_since(start_ns);
    made->receipt_id = receipt.id;
    parts_.writer->post(
        [row = receipt_row(receipt), made = std::move(made), done](ledger::Ledger& ledger) mutable {
          if (const auto stored = ledger.put_receipt(row); !stored) {
            log_error("hub",
                      fmt::format("receipt {} is not stored: {}", row.id, stored.error().message));
          }
          done(std::move(made));
        });
  };
}

Result<> Conductor::embed(EmbeddingRequest request, EmbeddingDone done) {
  HEARTH_TRY(store::CatalogueEntry entry, encoder_entry(request.model));
  done = with_receipt(entry.name, request.client, std::move(done));
  return parts_.embedding_desk->submit(std::move(entry), std::move(request), std::move(done));
}

Result<> Conductor::rerank(RerankRequest request, RerankDone done) {
  HEARTH_TRY(store::CatalogueEntry entry, encoder_entry(request.model));
  done = with_receipt(entry.name, request.client, std::move(done));
  return parts_.embedding_desk->submit(std::move(entry), std::move(request), std::move(done));
}

std::vector<advisor::DeparturePtr> Conductor::consents(std::string_view client) const {
  if (parts_.consents == nullptr) return {};
  return parts_.consents->pending(client);
}

Result<> Conductor::answer_consent(std::string_view id, std::string_view client, bool is_allowed, bool is_remembered) {
  if (parts_.consents == nullptr) return Hub::answer_consent(id, client, is_allowed, is_remembered);
  return parts_.consents->answer(id, client, is_allowed, is_remembered);
}

std::vector<ModelEntry> Conductor::models() const {
  std::vector<ModelEntry> entries = parts_.shelf->entries();
  for (ModelEntry& entry : entries) {
    if (parts_.embedding_desk != nullptr && parts_.embedding_desk->is_loaded(entry.path)) {
      entry.loaded = true;
    }
  }
  list_upstreams(entries);
  return entries;
}

HubStats Conductor::stats() const {
  HubStats stats;
  {
    const std::lock_guard lock(mutex_);
    stats = stats_;
  }
  stats.engine = parts_.engine->stats();
  return stats;
}

MemoryReport Conductor::memory() {
  MemoryReport report = parts_.shelf->memory();
  const engine::EngineStats stats = parts_.engine->stats();
  report.snapshots = {.files = stats.snapshot_files,
                      .bytes = stats.snapshot_bytes,
                      .restores = stats.restores,
                      .restored_tokens = stats.restored_tokens};
  return report;
}

Result<> Conductor::health() {
  const std::int64_t now = clock_.now_monotonic_ns();
  bool is_probe_due = false;
  {
    const std::lock_guard lock(mutex_);
    if (probe_sent_ns_ != 0 && now - probe_sent_ns_ > kConductorSilenceNs) {
      return fail(Code::kUnavailable, "the conductor's loop does not answer");
    }
    if (is_engine_stuck_) return fail(Code::kUnavailable, "the engine's loop does not move");
    if (probe_sent_ns_ == 0) {
      probe_sent_ns_ = now;
      is_probe_due = true;
    }
  }
  if (is_probe_due) inbox_.put(Probe{});
  return {};
}

void Conductor::shutdown(std::chrono::milliseconds grace) {
  std::unique_lock lock(mutex_);
  is_accepting_ = false;
  const auto is_idle = [this] { return n_runs_ == 0; };
  if (all_done_.wait_for(lock, grace, is_idle)) return;
  lock.unlock();
  inbox_.put(CancelAll{});
  lock.lock();
  all_done_.wait(lock, is_idle);
}

// ---- Health ------------------------------------------------------------------------------------

void Conductor::on(Probe&) {
  const std::int64_t now = clock_.now_monotonic_ns();
  const engine::EngineStats stats = parts_.engine->stats();
  const bool has_work = stats.jobs_running + stats.jobs_waiting > 0;
  const bool is_first_look = engine_moved_ns_ == 0;
  if (stats.steps != engine_steps_ || !has_work || is_first_look) engine_moved_ns_ = now;
  engine_steps_ = stats.steps;

  // An idle engine is given a token to make, so that a dead thread does not look like a quiet one.
  const ReadyModelPtr ready = has_work ? nullptr : parts_.shelf->any_loaded();
  if (ready != nullptr && engine_probe_ns_ == 0) {
    engine::GenerateRequest job{.model = ready->model,
                                .prompt = {0},
                                .max_tokens = 1,
                                .ignore_eos = true,
                                .client = "health"};
    const auto submitted =
        parts_.engine->submit(std::move(job), std::make_shared<ProbeSink>(inbox_));
    if (submitted) engine_probe_ns_ = now;
  }
  const std::lock_guard lock(mutex_);
  is_engine_stuck_ = now - engine_moved_ns_ > kEngineSilenceNs ||
                     (engine_probe_ns_ != 0 && now - engine_probe_ns_ > kEngineSilenceNs);
  probe_sent_ns_ = 0;
}

void Conductor::on(ProbeAnswered&) { engine_probe_ns_ = 0; }

}  // namespace hearth::hub

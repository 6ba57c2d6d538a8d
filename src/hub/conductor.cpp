#include "hub/conductor.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <utility>

#include "base/digest.h"
#include "base/log.h"
#include "hub/memory_key.h"
#include "hub/notices.h"
#include "hub/privacy_sources.h"
#include "hub/receipt_json.h"
#include "hub/show_piece.h"
#include "hub/template_context.h"
#include "ledger/receipt_id.h"

namespace hearth::hub {
namespace {

constexpr std::string_view kFinishedWithAdvice = "the local model finished the answer with the adviser's advice";
constexpr std::int64_t kMsNs = 1'000'000;
constexpr std::int64_t kConductorSilenceNs =
    2'000 * kMsNs;  // A probe unanswered for longer: stuck.
constexpr std::int64_t kEngineSilenceNs =
    30'000 * kMsNs;  // A step on a slow machine takes seconds.

const char* end_name(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kStop:
      return "stop";
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kCancelled:
      return "cancelled";
    case engine::FinishReason::kError:
      return "error";
  }
  return "error";
}

// Choice 0 keeps the request's seed; the others get seeds of their own that follow from it.
std::uint64_t seed_of(std::uint64_t seed, std::uint32_t choice) {
  if (choice == 0) return seed;
  return hash64(std::as_bytes(std::span(&choice, 1)), seed);
}

// What of a conversation an adviser may see: the turns of user and assistant, no system texts.
std::vector<advisor::BriefMessage> brief_of(const std::vector<Message>& messages) {
  std::vector<advisor::BriefMessage> brief;
  for (const Message& message : messages) {
    const bool is_user = message.role == Role::kUser;
    if (message.content.empty() || (!is_user && message.role != Role::kAssistant)) continue;
    brief.push_back({.is_user = is_user, .text = message.content});
  }
  return brief;
}

// The draft as the adviser sees it: its text, and what it was about to call.
std::string draft_of(const Answer& answer) {
  std::string draft = answer.text;
  for (const std::string& name : answer.called) draft += fmt::format("\n(It calls the tool {}.)", name);
  if (!answer.called.empty()) draft += fmt::format("\n(With these arguments: {})", answer.call_arguments);
  return draft;
}

Notice unsure_notice(AdviceOutcome outcome) {
  if (outcome == AdviceOutcome::kNotConfigured) return Notice::kUnsureNotConfigured;
  if (outcome == AdviceOutcome::kNotAllowed) return Notice::kUnsureNotAllowed;
  return Notice::kUnsureNotAdvised;
}

// Whether the advice as it is could be the answer.
bool fits_format(const Run& run) {
  return run.request.grammar == nullptr || text::grammar::matches(*run.request.grammar, run.advice_text);
}

// Whether what a job of this stage says is still of interest.
bool is_of(const Run& run, Stage stage) {
  return run.stage == stage || (run.drafts_on && stage == Stage::kDrafting);
}

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

ConductorParts with_privacy(ConductorParts parts) {
  if (parts.privacy == nullptr) parts.privacy = std::make_unique<PrivacyGate>();
  return parts;
}

Result<> check_can_chat(const store::CatalogueEntry& entry) {
  if (!model::is_encoder_architecture(entry.architecture)) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("the model '{}' embeds texts (/v1/embeddings) and can't chat; name "
                          "another model",
                          entry.name));
}

}  // namespace

AdviceOutcome outcome_of(advisor::AdviceStatus status) {
  switch (status) {
    case advisor::AdviceStatus::kAnswered:
      return AdviceOutcome::kAdvised;
    case advisor::AdviceStatus::kOverBudget:
      return AdviceOutcome::kOverBudget;
    case advisor::AdviceStatus::kUnknownPrice:
      return AdviceOutcome::kUnknownPrice;
    case advisor::AdviceStatus::kDenied:
      return AdviceOutcome::kNotAllowed;
    case advisor::AdviceStatus::kFailed:
    case advisor::AdviceStatus::kCancelled:
      return AdviceOutcome::kFailed;
  }
  return AdviceOutcome::kFailed;
}

// Forwards a job's events to the conductor.
class Conductor::JobSink final : public engine::GenerateSink {
 public:
  JobSink(Mailbox<RunMessage>& inbox, RequestId run, Stage stage, std::uint32_t choice)
      : inbox_(inbox), run_(run), stage_(stage), choice_(choice) {}
  void on_token(engine::JobId, const engine::TokenEvent& event) override {
    inbox_.put(TokenMade{run_, stage_, choice_, event});
  }
  void on_finish(engine::JobId, const engine::FinishEvent& event) override {
    inbox_.put(JobEnded{run_, stage_, choice_, event});
  }

 private:
  Mailbox<RunMessage>& inbox_;
  RequestId run_;
  Stage stage_;
  std::uint32_t choice_;
};

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

class Conductor::AdviceRelay final : public advisor::AdviceSink {
 public:
  AdviceRelay(Mailbox<RunMessage>& inbox, RequestId run) : inbox_(inbox), run_(run) {}
  void on_advice(const advisor::Advice& advice) override { inbox_.put(AdviceCame{run_, advice}); }
  void on_departure(const advisor::DeparturePtr& departure) override { inbox_.put(DepartureNear{run_, departure}); }

 private:
  Mailbox<RunMessage>& inbox_;
  RequestId run_;
};

std::shared_ptr<engine::GenerateSink> Conductor::make_job_sink(RequestId run, Stage stage) {
  return std::make_shared<JobSink>(inbox_, run, stage, 0);
}

Conductor::Conductor(ConductorParts parts, ConductorOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      parts_(with_privacy(std::move(parts))),
      learned_(options_.learned_folder),
      thread_([this] { conduct(); }) {}

Conductor::~Conductor() {
  shutdown(std::chrono::milliseconds(0));
  inbox_.put(Stop{});
  thread_.join();
  preparer_.reset();
  clearer_.reset();
}

// ---- For callers, from any thread --------------------------------------------------------------

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
std::function<void(Result<Made>)> Conductor::with_receipt(const std::string& model,
                                                          std::function<void(Result<Made>)> done) {
  Receipt receipt{.at_unix_us = clock_.now_unix_us(), .model = model, .end = "stop"};
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
  done = with_receipt(entry.name, std::move(done));
  return parts_.embedding_desk->submit(std::move(entry), std::move(request), std::move(done));
}

Result<> Conductor::rerank(RerankRequest request, RerankDone done) {
  HEARTH_TRY(store::CatalogueEntry entry, encoder_entry(request.model));
  done = with_receipt(entry.name, std::move(done));
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

// ---- The conductor's thread --------------------------------------------------------------------

void Conductor::conduct() {
  while (!is_stopping_) {
    for (RunMessage& message : inbox_.take_all()) {
      std::visit([this](auto& content) { on(content); }, message);
    }
  }
}

Run* Conductor::find(RequestId id) {
  const auto found = runs_.find(id);
  return found == runs_.end() ? nullptr : found->second.get();
}

double Conductor::ms_since(std::int64_t start_ns) const {
  return static_cast<double>(clock_.now_monotonic_ns() - start_ns) / kMsNs;
}

void Conductor::on(Admitted& message) {
  Run& run = *message.run;
  const RequestId id = run.id;
  runs_.emplace(id, std::move(message.run));
  if (run.upstream && run.request.counts_only) {
    return fail_run(run, Error{Code::kUnsupported,
                               "tokens are counted for models of this machine alone, and another server has "
                               "this one; ask it for an answer, whose usage says how many there were"});
  }
  if (run.upstream) return begin_upstream(run);
  parts_.shelf->get(run.candidates, run.adapter_entries, [this, id](Result<Loaded> loaded) {
    inbox_.put(ModelReady{id, std::move(loaded)});
  });
}

void Conductor::on(ModelReady& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != Stage::kLoading) return;
  if (!message.loaded) {
    // A model that only turns out now to be one that the engine can't run.
    const bool may_go_on = message.loaded.error().code == Code::kUnsupported && parts_.llama != nullptr &&
                           run->candidates.size() == 1 && run->adapter_entries.empty() &&
                           run->candidates[0].source != "store";
    if (!may_go_on) return fail_run(*run, message.loaded.error());
    plan_upstream(*run, child_target(run->candidates[0]));
    return begin_upstream(*run);
  }
  run->model = message.loaded->model;
  run->adapters = std::move(message.loaded->adapters);
  run->receipt.model = message.loaded->entry.name;
  run->receipt.quantisation = message.loaded->entry.quantization;
  prepare(*run, Stage::kPreparing, run->request.messages);
}

void Conductor::prepare(Run& run, Stage stage, std::vector<Message> messages) {
  run.stage = stage;
  preparer_->post([this, id = run.id, stage, model = run.model, messages = std::move(messages),
                   request = run.request,
                   key = advisor::gate::ModelKey{run.receipt.model, run.receipt.quantisation}] {
    auto laid_out = messages.empty() ? Result<Prompt>(encode_prompt(*model, request.prompt))
                                     : encode_chat(*model, request, messages);
    auto constraint = make_constraint(*model, request);
    if (!constraint) laid_out = std::unexpected(constraint.error());
    inbox_.put(PromptReady{id, stage, std::move(laid_out), constraint.value_or(nullptr), learned_.of(key)});
  });
}

void Conductor::on(PromptReady& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != message.stage) return;
  if (message.stage == Stage::kSecond) {
    if (!message.prompt) return judge_draft(*run);
    return ask_second(*run, *message.prompt);
  }
  run->constraint = std::move(message.constraint);
  run->learned = std::move(message.learned);
  if (message.stage == Stage::kPreparing) {
    if (!message.prompt) return fail_run(*run, message.prompt.error());
    if (run->request.counts_only) return end_count(*run, message.prompt->tokens.size());
    begin_draft(*run, *message.prompt);
  } else if (message.prompt) {
    begin_final(*run, *message.prompt);
  } else {
    end_without_final(*run);
  }
}

Result<> Conductor::submit(Run& run, std::uint32_t choice, const Prompt& prompt) {
  engine::GenerateRequest job{.model = run.model->model,
                              .adapters = run.adapters,
                              .prompt = prompt.tokens,
                              .sampling = run.request.sampling,
                              .max_tokens = run.request.max_tokens,
                              .stop = run.request.stop,
                              .ignore_eos = run.request.ignore_eos,
                              .n_top_logprobs = run.request.n_top_logprobs,
                              .constraint = run.constraint,
                              .draft_model = run.model->draft_model,
                              .may_keep = run.request.may_keep_prompt.value_or(
                                  run.request.may_store || options_.keeps_unstored),
                              .client = run.request.client};
  job.sampling.seed = seed_of(run.request.sampling.seed, choice);
  if (!run.request.has_temperature) {
    job.sampling.temperature = run.model->model->preferred_temperature().value_or(job.sampling.temperature);
  }
  auto parser = make_answer_parser(*run.model, run.request, prompt);
  if (parser != nullptr) {
    const bool with_calls = !shown_tools(*run.model, run.request).empty();
    job.spoken_control = with_calls ? run.model->spoken_with_calls : run.model->spoken;
  }
  HEARTH_TRY(const engine::JobId id,
             parts_.engine->submit(std::move(job),
                                   std::make_shared<JobSink>(inbox_, run.id, run.stage, choice)));
  run.answers[choice].parser = std::move(parser);
  run.answers[choice].job = id;
  run.answers[choice].is_running = true;
  return {};
}

void Conductor::begin_draft(Run& run, const Prompt& prompt) {
  run.stage = Stage::kDrafting;
  const bool is_held = may_ask(run.rules);
  const bool has_unsure_token = run.model->model->unsure_token().has_value();
  plan_holding(run);
  run.submitted_ms = ms_since(run.admitted_ns);
  for (std::uint32_t choice = 0; choice < run.request.n; ++choice) {
    run.answers.emplace_back(has_unsure_token).is_held = is_held;
  }
  for (std::uint32_t choice = 0; choice < run.request.n; ++choice) {
    if (auto submitted = submit(run, choice, prompt); !submitted) {
      return fail_run(run, submitted.error());
    }
  }
}

void Conductor::on(TokenMade& message) {
  Run* const run = find(message.run);
  if (run == nullptr || !is_of(*run, message.stage)) return;
  if (run->stage == Stage::kSecond) return void(run->second_text += message.event.text);
  Answer& answer = run->answers[message.choice];
  const engine::TokenEvent& event = message.event;
  if (message.stage == Stage::kDrafting) {
    answer.meter.add({event.token.logprob, event.entropy, event.unsure_probability});
  }
  take(*run, message.choice, {.token = std::move(message.event)});
  if (may_ask_early(*run)) ask_early(*run);
}

// Takes apart what came, and shows it or holds it back.
void Conductor::take(Run& run, std::uint32_t choice, Piece piece) {
  Answer& answer = run.answers[choice];
  if (answer.parser != nullptr) {
    answer.parser->push(piece.token.text, piece.events);
  } else if (!piece.token.text.empty()) {
    piece.events.push_back({text::AnswerEventKind::kText, piece.token.text});
  }
  note_events(answer, piece.events);
  if (!answer.is_held) return show(run, choice, piece);
  answer.held.push_back(std::move(piece));
  if (!run.drafts_on && may_show_early(run, answer)) release_held(run, answer);
}

// The job's last text, and what the parser held back.
void Conductor::take_end(Run& run, std::uint32_t choice, const engine::FinishEvent& event) {
  Answer& answer = run.answers[choice];
  Piece rest;
  rest.token.text = event.text;
  take(run, choice, std::move(rest));
  if (answer.parser == nullptr) return;
  Piece last;
  answer.parser->finish(event.reason != engine::FinishReason::kStop, last.events);
  answer.parser.reset();
  note_events(answer, last.events);
  if (answer.is_held)
    answer.held.push_back(std::move(last));
  else
    show(run, choice, last);
}

void Conductor::on(JobEnded& message) {
  Run* const run = find(message.run);
  if (run == nullptr || is_late_draft(*run, message) || !is_of(*run, message.stage)) return;
  if (run->drafts_on) return end_early_draft(*run, message);
  if (run->stage == Stage::kSecond) {
    run->second_job.reset();
    run->second_text += message.event.text;
    return judge_draft(*run);
  }
  Answer& answer = run->answers[message.choice];
  answer.is_running = false;
  const bool is_final = run->stage == Stage::kFinishing;
  const bool has_failed = message.event.reason == engine::FinishReason::kError;
  if (!is_final || !has_failed) {
    answer.reason = message.event.reason;
    answer.stop_string = message.event.stop_string;
  }
  account(*run, message.event, is_final);

  if (has_failed) {
    if (is_final && !run->has_visible_text) return end_without_final(*run);
    return fail_run(*run, message.event.error);
  }
  take_end(*run, message.choice, message.event);
  if (is_final) {
    end_choice(*run, message.choice);
    return store_receipt(*run);
  }
  answer.ended_unsure = message.event.unsure;
  if (message.event.unsure) answer.meter.end_unsure();
  if (!answer.is_held && !answer.ended_unsure) end_choice(*run, message.choice);
  if (std::ranges::none_of(run->answers, &Answer::is_running)) end_draft(*run);
}

void Conductor::account(Run& run, const engine::FinishEvent& event, bool is_final) {
  Receipt& receipt = run.receipt;
  if (!is_final) {
    receipt.usage.prompt_tokens = event.prompt_tokens;
    receipt.usage.cached_tokens = std::max(receipt.usage.cached_tokens, event.cached_tokens);
    receipt.usage.restored_tokens = std::max(receipt.usage.restored_tokens, event.restored_tokens);
    receipt.queue_ms = std::max(receipt.queue_ms, event.queue_ms);
    receipt.ready_ms = run.submitted_ms + receipt.queue_ms;
  }
  receipt.usage.completion_tokens += event.completion_tokens;
  run.decode_ms += event.decode_ms;
  if (run.decode_ms > 0) {
    receipt.tokens_per_second = receipt.usage.completion_tokens * 1000.0 / run.decode_ms;
  }
}

void Conductor::ask_adviser(Run& run, const std::string& rule) {
  run.stage = Stage::kAdvising;
  run.receipt.advice_rule = rule;
  const std::string name = parts_.adviser->options().full_name();
  run.receipt.adviser = name;
  run.sink->on_status(fmt::format("asking the adviser {} ({})", name, rule));
  run.advice_id = parts_.adviser->ask({.request_id = run.receipt.id,
                                       .conversation = brief_of(run.request.messages),
                                       .draft = draft_of(run.answers[0]),
                                       .rule = rule,
                                       .sources = sources_of(run.request),
                                       .client = run.request.client,
                                       .label = {},
                                       .consent = {},
                                       .is_preview = run.request.is_preview,
                                       .memory = memory_key(run)},
                                      std::make_shared<AdviceRelay>(inbox_, run.id));
}

void Conductor::on(AdviceCame& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage != Stage::kAdvising) return;
  advisor::Advice& advice = message.advice;
  run->receipt.bytes_out += advice.bytes_out;
  run->receipt.cost_usd_micro += advice.cost_usd_micro;
  if (!advice.adviser.empty()) run->receipt.adviser = advice.adviser;
  if (run->is_cancelled) return cancel_run(*run);
  if (run->drafts_on && settle_early(*run, advice)) return;
  if (advice.is_unreachable && defer(*run, advice.detail)) {
    advice.detail += "; the question is kept, and `hearth advisor deferred ask` asks it later";
  }
  if (advice.status != advisor::AdviceStatus::kAnswered) {
    return give_draft(*run, outcome_of(advice.status), std::move(advice.detail));
  }
  run->receipt.advice = AdviceOutcome::kAdvised;
  run->receipt.advice_detail = kFinishedWithAdvice;
  run->receipt.advice_remembered = std::move(advice.remembered);
  if (!advice.detail.empty()) run->receipt.advice_detail += "; " + advice.detail;
  run->advice_text = std::move(advice.text);
  run->sink->on_advice(run->receipt.adviser, run->advice_text);
  if (run->model->model->relays_advice() && fits_format(*run)) return relay_advice(*run);

  // The advice enters as a turn of its own; the prefix cache still holds all turns before it.
  std::vector<Message> messages = run->request.messages;
  const std::string draft = draft_of(run->answers[0]);
  messages.push_back(
      {.role = Role::kAssistant,
       .content = draft.empty() ? std::string(notice(Notice::kDraftWasUnsure)) : draft});
  messages.push_back(
      {.role = Role::kUser, .content = notice(Notice::kFinishWithAdvice, run->advice_text)});
  prepare(*run, Stage::kPreparingFinal, std::move(messages));
}

void Conductor::begin_final(Run& run, const Prompt& prompt) {
  run.stage = Stage::kFinishing;
  run.answers[0].is_held = false;
  run.answers[0].called.clear();  // What the draft calls was advised on, not made.
  if (!submit(run, 0, prompt)) end_without_final(run);
}

// The local model could not finish: the advice itself is the answer, or, if it has not the format that
// was asked for, the draft, which has.
void Conductor::end_without_final(Run& run) {
  if (fits_format(run)) return relay_advice(run);
  give_draft(run, AdviceOutcome::kFailed,
             "advice came, but the local model could not bring it into the format that was asked for");
}

// The advice itself becomes the answer: the local model is too small to rework it, or could not.
void Conductor::relay_advice(Run& run) {
  run.receipt.advice_relayed = true;
  // Behind it stands what was odd about the advice, if anything was.
  run.receipt.advice_detail.replace(0, kFinishedWithAdvice.size(), "the adviser's words were passed on as they are");
  run.answers[0].reason = engine::FinishReason::kStop;
  const bool is_plain = run.request.grammar == nullptr;  // Else any word of ours would break the format.
  show(run, 0, is_plain ? notice(Notice::kAdviceFollows, run.advice_text) : run.advice_text);
  end_choice(run, 0);
  store_receipt(run);
}

// The local answer stands: what was held back is shown, and where the model only said that it is
// unsure, the hub says so in words.
void Conductor::give_draft(Run& run, AdviceOutcome outcome, std::string detail) {
  run.receipt.advice = outcome;
  run.receipt.advice_detail = std::move(detail);
  for (std::uint32_t choice = 0; choice < run.answers.size(); ++choice) {
    Answer& answer = run.answers[choice];
    release_held(run, answer);
    if (answer.ended_unsure && answer.text.empty() && answer.called.empty()) {
      const Notice which = unsure_notice(outcome);
      show(run, choice,
           which == Notice::kUnsureNotAdvised ? notice(which, run.receipt.advice_detail)
                                              : std::string(notice(which)));
    }
    end_choice(run, choice);
  }
  store_receipt(run);
}

void Conductor::release_held(Run& run, Answer& answer) {
  answer.is_held = false;
  const auto choice = static_cast<std::uint32_t>(&answer - run.answers.data());
  for (const Piece& piece : std::exchange(answer.held, {})) show(run, choice, piece);
}

void Conductor::show(Run& run, std::uint32_t choice, const Piece& piece) {
  if (!piece.events.empty() && !std::exchange(run.has_visible_text, true)) {
    run.receipt.first_token_ms = ms_since(run.admitted_ns);
  }
  show_piece(*run.sink, choice, run.answers[choice], piece);
}

void Conductor::show(Run& run, std::uint32_t choice, std::string text) {
  show(run, choice, {.events = {{text::AnswerEventKind::kText, std::move(text)}}});
}

void Conductor::end_choice(Run& run, std::uint32_t choice) {
  Answer& answer = run.answers[choice];
  if (std::exchange(answer.is_choice_ended, true)) return;
  run.sink->on_choice_end(choice, {answer.reason, answer.stop_string});
}

// ---- Ends --------------------------------------------------------------------------------------

// Nothing was generated: there is nothing to keep a receipt of.
void Conductor::end_count(Run& run, std::size_t n_tokens) {
  run.stage = Stage::kStoring;
  run.receipt.usage.prompt_tokens = static_cast<std::uint32_t>(n_tokens);
  ReceiptStored nothing_to_store{run.id};
  on(nothing_to_store);
}

void Conductor::store_receipt(Run& run) {
  run.stage = Stage::kStoring;
  Receipt& receipt = run.receipt;
  receipt.total_ms = ms_since(run.admitted_ns);
  if (receipt.end.empty()) receipt.end = end_name(run.answers[0].reason);
  parts_.writer->post([this, id = run.id, row = receipt_row(receipt)](ledger::Ledger& ledger) {
    if (const auto stored = ledger.put_receipt(row); !stored) {
      log_error("hub", fmt::format("receipt {} is not stored: {}", row.id, stored.error().message));
    }
    inbox_.put(ReceiptStored{id});
  });
}

void Conductor::on(ReceiptStored& message) {
  Run* const run = find(message.run);
  if (run == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    if (!run->error)
      ++stats_.answered;
    else if (run->error->code == Code::kCancelled)
      ++stats_.cancelled;
    else
      ++stats_.failed;
    if (run->receipt.advice == AdviceOutcome::kAdvised) ++stats_.advised;
    stats_.bytes_out += run->receipt.bytes_out;
    stats_.cost_usd_micro += run->receipt.cost_usd_micro;
    --n_answering_;  // Who hears of the end may ask again at once.
  }
  if (run->error)
    run->sink->on_error(*run->error);
  else
    run->sink->on_finish(run->receipt.usage, run->receipt);
  forget(run->id);
}

// Stops what still works for a run that ends early.  What it wrote so far gets a receipt; a run
// that has not begun to answer needs none.
void Conductor::fail_run(Run& run, Error error) {
  for (const Answer& answer : run.answers) {
    if (answer.is_running) parts_.engine->cancel(answer.job);
  }
  if (run.second_job) parts_.engine->cancel(*run.second_job);
  const bool has_begun = run.stage >= Stage::kDrafting;
  run.receipt.end = error.code == Code::kCancelled ? "cancelled" : "error";
  run.error = std::move(error);
  if (has_begun) return store_receipt(run);
  run.stage = Stage::kStoring;
  ReceiptStored nothing_to_store{run.id};
  on(nothing_to_store);
}

void Conductor::cancel_run(Run& run) {
  fail_run(run, Error{Code::kCancelled, "the request was cancelled"});
}

void Conductor::on(CancelRun& message) {
  Run* const run = find(message.run);
  if (run == nullptr || run->stage == Stage::kStoring) return;
  // Money may be under way: the receipt waits for what the adviser, or the upstream, has to say about it.
  const bool is_asking = run->stage == Stage::kAdvising || run->stage == Stage::kUpstream;
  if (!is_asking) return cancel_run(*run);
  if (std::exchange(run->is_cancelled, true)) return;
  if (run->stage == Stage::kAdvising) return parts_.adviser->cancel(*run->advice_id);
  if (run->upstream_id) parts_.upstream_desk->cancel(*run->upstream_id);  // Else it is being cleared.
}

void Conductor::on(CancelAll&) {
  std::vector<RequestId> ids;
  for (const auto& [id, run] : runs_) ids.push_back(id);
  for (const RequestId id : ids) {
    CancelRun order{id};
    on(order);
  }
}

void Conductor::forget(RequestId id) {
  runs_.erase(id);
  parts_.shelf->released();
  const std::lock_guard lock(mutex_);
  --n_runs_;
  all_done_.notify_all();
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

void Conductor::on(Stop&) { is_stopping_ = true; }

}  // namespace hearth::hub

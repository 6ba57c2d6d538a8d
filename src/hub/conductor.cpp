#include "hub/conductor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/log.h"
#include "hub/receipt_json.h"
#include "hub/show_piece.h"

namespace hearth::hub {
namespace {

constexpr double kNsPerMs = 1e6;

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

// Whether what a job of this stage says is still of interest.
bool is_of(const Run& run, Stage stage) {
  return run.stage == stage || (run.drafts_on && stage == Stage::kDrafting);
}

ConductorParts with_privacy(ConductorParts parts) {
  if (parts.privacy == nullptr) parts.privacy = std::make_unique<PrivacyGate>();
  return parts;
}

}  // namespace

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
  return static_cast<double>(clock_.now_monotonic_ns() - start_ns) / kNsPerMs;
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
                   key = advisor::gate::ModelKey{run.receipt.model, run.receipt.quantisation}]() mutable {
    auto laid_out = messages.empty() ? Result<Prompt>(encode_prompt(*model, request.prompt))
                                     : encode_chat(*model, request, messages);
    auto constraint = make_constraint(*model, request);
    if (!constraint) laid_out = std::unexpected(constraint.error());
    model.reset();  // This task may outlive the request.
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
  auto parser = make_answer_parser(*run.model, run.request, prompt, job);
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
  if (run->stage == Stage::kSecond) {
    Piece piece{.token = std::move(message.event)};
    return read_piece(run->second, piece);
  }
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
  read_piece(answer, piece);
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
  read_end(answer, event.reason, last);
  if (answer.is_held)
    answer.held.push_back(std::move(last));
  else
    show(run, choice, last);
}

void Conductor::on(JobEnded& message) {
  Run* const run = find(message.run);
  if (run == nullptr || is_late_draft(*run, message) || !is_of(*run, message.stage)) return;
  if (run->drafts_on) return end_early_draft(*run, message);
  if (run->stage == Stage::kSecond) return end_second(*run, message.event);
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
    --n_answering_;  // Who hears of the end may ask again at once,
  }
  run->model.reset();  // or unload what answered.
  run->second_model.reset();
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
  if (run.second.is_running) parts_.engine->cancel(run.second.job);
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

void Conductor::on(Stop&) { is_stopping_ = true; }

}  // namespace hearth::hub

#include "advisor/adviser.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <random>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>

#include "advisor/advice_call.h"
#include "advisor/brief.h"
#include "advisor/provider.h"
#include "advisor/recorded_call.h"
#include "advisor/retry.h"
#include "base/log.h"
#include "base/mailbox.h"

namespace hearth::advisor {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Asked {
  AdviceId id;
  AdviceRequest request;
  std::shared_ptr<AdviceSink> sink;
};
struct Consented {
  AdviceId id;
  ConsentEnd end;
};
struct Recorded {
  AdviceId id;
  Result<ledger::CallId> call;
};
struct CallEnded {
  AdviceId id;
  CallResult result;
};
struct Settled {
  AdviceId id;
};
struct Cancelled {
  AdviceId id;
};
struct Stop {};
using AdviserMessage = std::variant<Asked, Consented, Recorded, CallEnded, Settled, Cancelled, Stop>;

enum class Step : std::uint8_t { kConsenting, kRecording, kCalling, kSettling, kWaiting };

// One question on its way.  Lives on the adviser's thread.
struct Question {
  AdviceRequest request;
  std::shared_ptr<AdviceSink> sink;
  SteadyClock::time_point deadline;

  std::size_t provider = 0;  // That is asked now.
  std::string body;          // Of the call to it.
  Traffic traffic;
  std::uint32_t n_tries = 0;  // Of it.
  bool is_counted = false;    // Its circuit breaker waits to hear how the call went.

  Step step = Step::kRecording;
  std::string consent;           // While kConsenting: what waits for an answer.
  SteadyClock::time_point since;  // When it began to.
  std::string consented;         // How consent was given, for the ledger.
  std::optional<ledger::CallId> call;
  std::optional<net::HttpCallId> http_call;
  SteadyClock::time_point retry_at;      // While kWaiting,
  std::optional<milliseconds> retry_in;  // as decided when the call had ended.
  bool is_cancelled = false;
  Advice advice;
  std::size_t n_detail_kept = 0;  // Bytes of advice.detail about providers before the present one.

  // Why there is no answer yet.  What was tried says more than what could not be.
  void note(AdviceStatus status, std::string_view detail) {
    advice.status = advice.detail.empty() || status == AdviceStatus::kFailed ? status : advice.status;
    advice.detail.resize(n_detail_kept);
    advice.detail += advice.detail.empty() ? "" : "; ";
    advice.detail += detail;
  }
};

// What the hub weighs a question's worth against, also where the price is the list's.
AdviserOptions with_known_prices(const Provider& provider) {
  AdviserOptions options = provider.options;
  options.prices = provider.prices;
  return options;
}

class AdviserThread final : public Adviser {
 public:
  AdviserThread(std::vector<Provider> providers, net::HttpClient& client, ledger::LedgerWriter& writer,
                const Clock& clock, ConsentDesk* consents)
      : options_(with_known_prices(providers[0])),
        providers_(std::move(providers)),
        client_(client),
        writer_(writer),
        clock_(clock),
        consents_(consents),
        thread_([this] { work(); }) {}

  ~AdviserThread() override {
    mailbox_.put(Stop{});
    thread_.join();
  }

  const AdviserOptions& options() const override { return options_; }
  AdviceId ask(AdviceRequest request, std::shared_ptr<AdviceSink> sink) override {
    const AdviceId id{++last_id_};
    mailbox_.put(Asked{id, std::move(request), std::move(sink)});
    return id;
  }
  void cancel(AdviceId id) override { mailbox_.put(Cancelled{id}); }

 private:
  void work();
  void on(Asked& message);
  void on(Consented& message);
  void on(Recorded& message);
  void on(CallEnded& message);
  void on(Settled& message);
  void on(Cancelled& message);
  void on(Stop& message);

  void ask_next(AdviceId id, Question& question);
  bool begin(Question& question);
  void count(Question& question, const CallResult& result, const CallVerdict& verdict);
  void withdraw(Question& question);
  void seek_consent(AdviceId id, Question& question);
  ledger::CallIntent intent_of(const Question& question) const;
  Departure departure_of(const Question& question) const;
  void record(AdviceId id, Question& question);
  void call(AdviceId id, Question& question);
  void cancel_question(AdviceId id, Question& question);
  void end(AdviceId id, AdviceStatus status, std::string detail);
  void settle(AdviceId id, Question& question, ledger::Settlement settlement);
  void retry_due();
  Question* find(AdviceId id);

  const AdviserOptions options_;
  std::vector<Provider> providers_;  // Their circuit breakers are the thread's own.
  net::HttpClient& client_;
  ledger::LedgerWriter& writer_;
  const Clock& clock_;
  ConsentDesk* const consents_;
  std::atomic<std::uint64_t> last_id_ = 0;
  Mailbox<AdviserMessage> mailbox_;

  // The thread's own.
  std::unordered_map<AdviceId, Question> questions_;
  std::minstd_rand random_{std::random_device{}()};
  bool is_stopping_ = false;

  std::thread thread_;  // Last: it uses all of the above.
};

void AdviserThread::work() {
  while (!is_stopping_ || !questions_.empty()) {
    for (AdviserMessage& message : mailbox_.take_all_until(next_retry(questions_))) {
      std::visit([this](auto& content) { on(content); }, message);
    }
    retry_due();
  }
}

Question* AdviserThread::find(AdviceId id) {
  const auto found = questions_.find(id);
  return found == questions_.end() ? nullptr : &found->second;
}

void AdviserThread::on(Asked& message) {
  Question& question = questions_[message.id];
  question.request = std::move(message.request);
  question.sink = std::move(message.sink);
  question.deadline = SteadyClock::now() + options_.deadline;
  if (is_stopping_) return end(message.id, AdviceStatus::kCancelled, "Hearth is shutting down");
  ask_next(message.id, question);
}

// Of the advisers from `question.provider` on, the first that can be asked; the end if there is none.
void AdviserThread::ask_next(AdviceId id, Question& question) {
  for (; question.provider < providers_.size(); ++question.provider) {
    question.n_detail_kept = question.advice.detail.size();
    if (begin(question)) return seek_consent(id, question);
  }
  const AdviceStatus status = question.advice.status;
  end(id, status, std::move(question.advice.detail));
}

// Makes the question ready for its present provider; else notes why that can't be asked.
bool AdviserThread::begin(Question& question) {
  Provider& provider = providers_[question.provider];
  const std::string name = provider.options.full_name();
  if (!provider.prices) {
    question.note(AdviceStatus::kUnknownPrice,
                  fmt::format("the prices of {} are unknown; set price_in_usd_per_mtok and "
                              "price_out_usd_per_mtok of that adviser",
                              name));
    return false;
  }
  const std::int64_t now = clock_.now_monotonic_ns();
  if (!provider.circuit.let_through(now)) {
    question.advice.is_unreachable = true;
    question.note(AdviceStatus::kFailed,
                  fmt::format("the adviser {} has failed {} times in a row, so it is left alone for another {:.1f} s; "
                              "the last time it {}",
                              name, provider.circuit.n_failures(),
                              static_cast<double>(provider.circuit.rest_left_ns(now)) / 1e9, provider.last_failure));
    return false;
  }
  question.is_counted = true;
  question.n_tries = 0;
  question.body = provider.wire->body(brief_request(question.request, provider.options));
  question.traffic = {.request_bytes = question.body.size(),
                      .max_output_tokens = provider.options.max_output_tokens};
  return true;
}

ledger::CallIntent AdviserThread::intent_of(const Question& question) const {
  const Provider& provider = providers_[question.provider];
  const AdviceRequest& request = question.request;
  std::string rule = request.rule;
  for (const std::string& more : {request.label, question.consented}) rule += more.empty() ? "" : "; " + more;
  return {.request_id = request.request_id,
          .provider = provider.options.provider,
          .url = provider.url,
          .model = provider.options.model,
          .headers = recorded_headers(wire_headers(*provider.wire, provider.key)),
          .body = question.body,
          .rule = std::move(rule),
          .reserved_usd_micro = worst_case_usd_micro(*provider.prices, question.traffic)};
}

Departure AdviserThread::departure_of(const Question& question) const {
  ledger::CallIntent intent = intent_of(question);
  return {.consent = {}, .request_id = std::move(intent.request_id), .provider = std::move(intent.provider),
          .model = std::move(intent.model), .url = std::move(intent.url), .headers = std::move(intent.headers),
          .body = std::move(intent.body), .label = question.request.label,
          .worst_usd_micro = intent.reserved_usd_micro};
}

// What needs nobody's consent goes on at once.  Waiting takes nothing from the question's time.
void AdviserThread::seek_consent(AdviceId id, Question& question) {
  const AdviceRequest& request = question.request;
  if (request.is_preview) {
    withdraw(question);
    question.sink->on_departure(std::make_shared<const Departure>(departure_of(question)));
    return end(id, AdviceStatus::kDenied, "this was a preview: nothing has left");
  }
  if (!request.consent) return record(id, question);
  if (consents_ == nullptr) {
    withdraw(question);
    return end(id, AdviceStatus::kDenied, "it may leave only where somebody agrees, and nobody can be asked");
  }
  question.step = Step::kConsenting;
  question.since = SteadyClock::now();
  question.consent = consents_->ask(
      *request.consent, departure_of(question),
      [&question](const DeparturePtr& departure) { question.sink->on_departure(departure); },
      [this, id](ConsentEnd end) { mailbox_.put(Consented{id, std::move(end)}); });
}

void AdviserThread::on(Consented& message) {
  Question* const question = find(message.id);
  if (question == nullptr || question->step != Step::kConsenting) return;
  if (question->is_cancelled || is_stopping_) {
    withdraw(*question);
    return end(message.id, AdviceStatus::kCancelled, "the question was withdrawn");
  }
  if (!message.end.is_allowed) {
    withdraw(*question);
    return end(message.id, AdviceStatus::kDenied,
               fmt::format("{} may leave only where somebody agrees: {}", question->request.label, message.end.words));
  }
  question->deadline += SteadyClock::now() - question->since;
  question->consented = "consent: " + message.end.words;
  record(message.id, *question);
}

// Nothing leaves before this is on disk.
void AdviserThread::record(AdviceId id, Question& question) {
  question.step = Step::kRecording;
  const Provider& provider = providers_[question.provider];
  writer_.post([this, id, intent = intent_of(question), budget = provider.options.budget](ledger::Ledger& ledger) {
    mailbox_.put(Recorded{id, ledger.begin_call(intent, budget)});
  });
}

void AdviserThread::on(Recorded& message) {
  Question* const question = find(message.id);
  if (question == nullptr) return;
  if (!message.call) {
    withdraw(*question);
    const bool is_budget = message.call.error().code == Code::kOutOfBudget;
    question->note(is_budget ? AdviceStatus::kOverBudget : AdviceStatus::kFailed, message.call.error().message);
    if (question->is_cancelled || is_stopping_ || !is_budget) question->provider = providers_.size();
    ++question->provider;
    return ask_next(message.id, *question);
  }
  question->call = *message.call;
  if (question->is_cancelled || is_stopping_) {
    question->is_cancelled = true;
    withdraw(*question);
    return settle(message.id, *question, {.outcome = "not_sent"});
  }
  call(message.id, *question);
}

void AdviserThread::call(AdviceId id, Question& question) {
  question.step = Step::kCalling;
  ++question.n_tries;
  const Provider& provider = providers_[question.provider];
  net::HttpPost post{.url = provider.url,
                     .headers = wire_headers(*provider.wire, provider.key),
                     .body = question.body,
                     .timeouts = provider.options.timeouts,
                     .response_bytes_max = provider.options.response_bytes_max};
  const auto left = std::chrono::ceil<milliseconds>(question.deadline - SteadyClock::now());
  post.timeouts.total = std::clamp(left, milliseconds(1), provider.options.timeouts.total);
  const auto sink = std::make_shared<CallSink>(
      *provider.wire, provider.options.advice_bytes_max,
      [this, id](CallResult result) { mailbox_.put(CallEnded{id, std::move(result)}); });
  question.http_call = client_.post(std::move(post), sink);
}

void AdviserThread::on(CallEnded& message) {
  Question* const question = find(message.id);
  if (question == nullptr || question->step != Step::kCalling) return;
  CallResult& result = message.result;
  const Provider& provider = providers_[question->provider];
  const CallVerdict verdict = judge(result);
  count(*question, result, verdict);
  Advice& advice = question->advice;
  advice.adviser = provider.options.full_name();
  advice.is_unreachable |= !result.end.may_have_sent;
  if (result.end.may_have_sent) {
    ++advice.attempts;
    advice.bytes_out += question->body.size();
  }
  Traffic traffic = question->traffic;
  traffic.content_bytes = result.content_bytes;
  const ledger::Settlement settlement = settlement_of({.prices = *provider.prices,
                                                       .traffic = traffic,
                                                       .use = result.use,
                                                       .http_status = result.head.status,
                                                       .end = result.end,
                                                       .response_sha256 = result.response_sha256},
                                                      verdict);
  advice.cost_usd_micro += settlement.charged_usd_micro;

  if (verdict.problem.empty()) {
    advice.text = std::move(result.text);
  } else {
    question->note(AdviceStatus::kFailed, fmt::format("the adviser {} {}", advice.adviser, verdict.problem));
    const double jitter = std::uniform_real_distribution<>()(random_);
    question->retry_in = retry_delay({.failure = result.end.failure,
                                      .head = std::move(result.head),
                                      .error = result.error,
                                      .has_text = result.content_bytes > 0},
                                     question->n_tries, clock_.now_unix_us(), jitter);
  }
  settle(message.id, *question, settlement);
}

// Tells the provider's circuit breaker how a call went.
void AdviserThread::count(Question& question, const CallResult& result, const CallVerdict& verdict) {
  if (!std::exchange(question.is_counted, false)) return;
  Provider& provider = providers_[question.provider];
  if (is_providers_failure(result, verdict)) {
    provider.last_failure = verdict.problem;
    provider.circuit.fail(clock_.now_monotonic_ns());
  } else if (verdict.problem.empty()) {
    provider.circuit.succeed();
  } else {
    provider.circuit.withdraw();
  }
}

void AdviserThread::withdraw(Question& question) {
  if (std::exchange(question.is_counted, false)) providers_[question.provider].circuit.withdraw();
}

// Settled before anything else happens, so that a retry's reservation sees what this call cost.
void AdviserThread::settle(AdviceId id, Question& question, ledger::Settlement settlement) {
  question.step = Step::kSettling;
  writer_.post([this, id, call = *question.call,
                settlement = std::move(settlement)](ledger::Ledger& ledger) {
    // One that can't be settled stays reserved in full, and the next start charges it.
    if (const auto settled = ledger.settle(call, settlement); !settled) {
      log_error("advisor", fmt::format("call {} is not settled: {}",
                                       static_cast<std::int64_t>(call), settled.error().message));
    }
    mailbox_.put(Settled{id});
  });
}

void AdviserThread::on(Settled& message) {
  Question* const question = find(message.id);
  if (question == nullptr) return;
  Advice& advice = question->advice;
  if (!advice.text.empty()) return end(message.id, AdviceStatus::kAnswered, "");
  if (question->is_cancelled || is_stopping_) {
    return end(message.id, AdviceStatus::kCancelled, "the question was withdrawn");
  }
  const auto retry_in = std::exchange(question->retry_in, std::nullopt);
  if (question->provider + 1 < providers_.size() && SteadyClock::now() < question->deadline) {
    ++question->provider;
    return ask_next(message.id, *question);
  }
  const std::uint32_t attempts_max = providers_[question->provider].options.attempts_max;
  const bool is_due = retry_in && question->n_tries < attempts_max &&
                      SteadyClock::now() + *retry_in < question->deadline;
  if (!is_due) return end(message.id, AdviceStatus::kFailed, std::move(advice.detail));
  question->step = Step::kWaiting;
  question->retry_at = SteadyClock::now() + *retry_in;
}

void AdviserThread::retry_due() {
  const auto now = SteadyClock::now();
  for (auto& [id, question] : questions_) {
    if (question.step != Step::kWaiting || question.retry_at > now) continue;
    question.is_counted = true;  // A question that has begun goes on, rest or no rest.
    record(id, question);
  }
}

void AdviserThread::on(Cancelled& message) {
  if (Question* const question = find(message.id)) cancel_question(message.id, *question);
}

void AdviserThread::cancel_question(AdviceId id, Question& question) {
  question.is_cancelled = true;
  if (question.step == Step::kConsenting) consents_->withdraw(question.consent);
  if (question.step == Step::kCalling) client_.cancel(*question.http_call);
  if (question.step == Step::kWaiting) {
    end(id, AdviceStatus::kCancelled, "the question was withdrawn");
  }
}

void AdviserThread::on(Stop&) {
  is_stopping_ = true;
  std::vector<AdviceId> ids;
  for (const auto& [id, question] : questions_) ids.push_back(id);
  for (const AdviceId id : ids) cancel_question(id, questions_.at(id));
}

void AdviserThread::end(AdviceId id, AdviceStatus status, std::string detail) {
  const auto found = questions_.find(id);
  Question question = std::move(found->second);
  questions_.erase(found);
  question.advice.status = status;
  question.advice.detail = std::move(detail);
  question.advice.is_unreachable &= status == AdviceStatus::kFailed && question.advice.attempts == 0;
  question.sink->on_advice(question.advice);
}

}  // namespace

Result<std::unique_ptr<Adviser>> Adviser::create(AdviserOptions options, net::HttpClient& client,
                                                 ledger::LedgerWriter& writer, const Clock& clock,
                                                 ConsentDesk* consents) {
  return create(std::vector{std::move(options)}, client, writer, clock, consents);
}

Result<std::unique_ptr<Adviser>> Adviser::create(std::vector<AdviserOptions> advisers, net::HttpClient& client,
                                                 ledger::LedgerWriter& writer, const Clock& clock,
                                                 ConsentDesk* consents) {
  HEARTH_CHECK(!advisers.empty());
  std::vector<Provider> providers;
  for (AdviserOptions& options : advisers) {
    HEARTH_TRY(Provider provider, open_provider(std::move(options)));
    providers.push_back(std::move(provider));
  }
  return std::make_unique<AdviserThread>(std::move(providers), client, writer, clock, consents);
}

}  // namespace hearth::advisor

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

#include "advisor/answer_reader.h"
#include "advisor/api_key.h"
#include "advisor/brief.h"
#include "advisor/endpoint.h"
#include "advisor/recorded_call.h"
#include "advisor/retry.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mailbox.h"

namespace hearth::advisor {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kIdleWait{60'000};

// How a call ended, as the HTTP thread saw it.
struct CallResult {
  net::HttpEnd end;
  net::HttpResponseHead head;
  std::string text;
  TokenUse use;
  ProviderError error;
  bool is_complete = false;
  bool is_cut = false;
  bool is_garbled = false;
  Sha256 response_sha256{};

  bool is_success_status() const { return head.status >= 200 && head.status < 300; }
};

CallVerdict judge(const CallResult& result) {
  if (!result.end.may_have_sent) {
    return {"not_sent", "can't be reached: " + result.end.detail, false};
  }
  // An answer that reached our limit was cut by us: what came is good.
  if (result.is_cut && !result.text.empty()) return {"too_long", ""};
  if (result.head.status != 0 && !result.is_success_status()) {
    return {"refused", fmt::format("answered {}: {}", result.head.status, words_of(result.error)),
            false};
  }
  // Once the whole answer is there, how the connection ends is of no interest.
  if (result.is_complete && !result.text.empty() && !result.error.is_set()) return {"answered", ""};
  if (result.is_garbled) return {"broken", "answered something that is no chat completion"};
  if (auto verdict = judge_transport(result.end)) return *verdict;
  if (result.error.is_set()) {
    const bool is_charged = !result.text.empty() || result.use.is_reported();
    return {"refused", "gave up: " + words_of(result.error), is_charged};
  }
  if (!result.is_complete) return {"broken", "broke off in the middle of its answer"};
  if (result.text.empty()) return {"answered", "answered with no text"};
  return {"answered", ""};
}

struct Asked {
  AdviceId id;
  AdviceRequest request;
  std::shared_ptr<AdviceSink> sink;
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
using AdviserMessage = std::variant<Asked, Recorded, CallEnded, Settled, Cancelled, Stop>;

// Reads an answer on the HTTP thread and reports once, at the end.
class CallSink final : public net::HttpSink {
 public:
  CallSink(Mailbox<AdviserMessage>& mailbox, AdviceId id, std::uint64_t text_bytes_max)
      : mailbox_(mailbox), id_(id), reader_(text_bytes_max) {}

  void on_head(const net::HttpResponseHead& head) override { head_ = head; }
  bool on_body(std::string_view piece) override {
    digest_.update(piece);
    return reader_.feed(piece);
  }
  void on_end(const net::HttpEnd& end) override {
    reader_.finish();
    mailbox_.put(CallEnded{id_,
                           {.end = end,
                            .head = std::move(head_),
                            .text = reader_.text(),
                            .use = reader_.use(),
                            .error = reader_.error(),
                            .is_complete = reader_.is_complete(),
                            .is_cut = reader_.is_cut(),
                            .is_garbled = reader_.is_garbled(),
                            .response_sha256 = digest_.finish()}});
  }

 private:
  Mailbox<AdviserMessage>& mailbox_;
  AdviceId id_;
  AnswerReader reader_;
  net::HttpResponseHead head_;
  Sha256Stream digest_;
};

enum class Step : std::uint8_t { kRecording, kCalling, kSettling, kWaiting };

// One question on its way.  Lives on the adviser's thread.
struct Question {
  AdviceRequest request;
  std::shared_ptr<AdviceSink> sink;
  std::string body;
  Traffic traffic;
  std::int64_t reserved_usd_micro = 0;
  SteadyClock::time_point deadline;

  Step step = Step::kRecording;
  std::uint32_t n_tries = 0;
  std::optional<ledger::CallId> call;
  std::optional<net::HttpCallId> http_call;
  SteadyClock::time_point retry_at;      // While kWaiting,
  std::optional<milliseconds> retry_in;  // as decided when the call had ended.
  bool is_cancelled = false;
  Advice advice;
};

class AdviserThread final : public Adviser {
 public:
  AdviserThread(AdviserOptions options, Endpoint endpoint, std::string key, net::HttpClient& client,
                ledger::LedgerWriter& writer, const Clock& clock)
      : options_(std::move(options)),
        endpoint_(std::move(endpoint)),
        key_(std::move(key)),
        client_(client),
        writer_(writer),
        clock_(clock),
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
  void on(Recorded& message);
  void on(CallEnded& message);
  void on(Settled& message);
  void on(Cancelled& message);
  void on(Stop& message);

  void record(AdviceId id, Question& question);
  void call(AdviceId id, Question& question);
  void cancel_question(AdviceId id, Question& question);
  void end(AdviceId id, AdviceStatus status, std::string detail);
  void settle(AdviceId id, Question& question, ledger::Settlement settlement);
  void retry_due();
  SteadyClock::time_point next_retry() const;
  Question* find(AdviceId id);

  const AdviserOptions options_;
  const Endpoint endpoint_;
  const std::string key_;
  net::HttpClient& client_;
  ledger::LedgerWriter& writer_;
  const Clock& clock_;
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
    for (AdviserMessage& message : mailbox_.take_all_until(next_retry())) {
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
  if (!options_.prices) {
    return end(message.id, AdviceStatus::kUnknownPrice,
               fmt::format("the prices of {} are unknown; set price_in_usd_per_mtok and "
                           "price_out_usd_per_mtok under [advisor]",
                           options_.full_name()));
  }
  question.body = brief_body(question.request, options_, endpoint_.max_tokens_key);
  question.traffic = {.request_bytes = question.body.size(),
                      .max_output_tokens = options_.max_output_tokens};
  question.reserved_usd_micro = worst_case_usd_micro(*options_.prices, question.traffic);
  record(message.id, question);
}

// Nothing leaves before this is on disk.
void AdviserThread::record(AdviceId id, Question& question) {
  question.step = Step::kRecording;
  ledger::CallIntent intent{.request_id = question.request.request_id,
                            .provider = options_.provider,
                            .url = endpoint_.chat_url,
                            .model = options_.model,
                            .headers = recorded_headers(json_call_headers(key_)),
                            .body = question.body,
                            .rule = question.request.rule,
                            .reserved_usd_micro = question.reserved_usd_micro};
  writer_.post([this, id, intent = std::move(intent)](ledger::Ledger& ledger) {
    mailbox_.put(Recorded{id, ledger.begin_call(intent, options_.budget)});
  });
}

void AdviserThread::on(Recorded& message) {
  Question* const question = find(message.id);
  if (question == nullptr) return;
  if (!message.call) {
    const bool is_budget = message.call.error().code == Code::kOutOfBudget;
    return end(message.id, is_budget ? AdviceStatus::kOverBudget : AdviceStatus::kFailed,
               message.call.error().message);
  }
  question->call = *message.call;
  if (question->is_cancelled || is_stopping_) {
    question->is_cancelled = true;
    return settle(message.id, *question, {.outcome = "not_sent"});
  }
  call(message.id, *question);
}

void AdviserThread::call(AdviceId id, Question& question) {
  question.step = Step::kCalling;
  ++question.n_tries;
  net::HttpPost post{.url = endpoint_.chat_url,
                     .headers = json_call_headers(key_),
                     .body = question.body,
                     .timeouts = options_.timeouts,
                     .response_bytes_max = options_.response_bytes_max};
  const auto left = std::chrono::ceil<milliseconds>(question.deadline - SteadyClock::now());
  post.timeouts.total = std::clamp(left, milliseconds(1), options_.timeouts.total);
  const auto sink = std::make_shared<CallSink>(mailbox_, id, options_.advice_bytes_max);
  question.http_call = client_.post(std::move(post), sink);
}

void AdviserThread::on(CallEnded& message) {
  Question* const question = find(message.id);
  if (question == nullptr || question->step != Step::kCalling) return;
  CallResult& result = message.result;
  const CallVerdict verdict = judge(result);
  Advice& advice = question->advice;
  if (result.end.may_have_sent) {
    ++advice.attempts;
    advice.bytes_out += question->body.size();
  }
  Traffic traffic = question->traffic;
  traffic.content_bytes = result.text.size();
  const ledger::Settlement settlement = settlement_of({.prices = *options_.prices,
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
    advice.detail = fmt::format("the adviser {} {}", options_.full_name(), verdict.problem);
    const double jitter = std::uniform_real_distribution<>()(random_);
    question->retry_in = retry_delay({.failure = result.end.failure,
                                      .head = std::move(result.head),
                                      .error = result.error,
                                      .has_text = !result.text.empty()},
                                     question->n_tries, clock_.now_unix_us(), jitter);
  }
  settle(message.id, *question, settlement);
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
  const bool is_due = retry_in && question->n_tries < options_.attempts_max &&
                      SteadyClock::now() + *retry_in < question->deadline;
  if (!is_due) return end(message.id, AdviceStatus::kFailed, std::move(advice.detail));
  question->step = Step::kWaiting;
  question->retry_at = SteadyClock::now() + *retry_in;
}

SteadyClock::time_point AdviserThread::next_retry() const {
  auto next = SteadyClock::now() + kIdleWait;
  for (const auto& [id, question] : questions_) {
    if (question.step == Step::kWaiting) next = std::min(next, question.retry_at);
  }
  return next;
}

void AdviserThread::retry_due() {
  const auto now = SteadyClock::now();
  for (auto& [id, question] : questions_) {
    if (question.step == Step::kWaiting && question.retry_at <= now) record(id, question);
  }
}

void AdviserThread::on(Cancelled& message) {
  if (Question* const question = find(message.id)) cancel_question(message.id, *question);
}

void AdviserThread::cancel_question(AdviceId id, Question& question) {
  question.is_cancelled = true;
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
  question.sink->on_advice(question.advice);
}

}  // namespace

Result<std::unique_ptr<Adviser>> Adviser::create(AdviserOptions options, net::HttpClient& client,
                                                 ledger::LedgerWriter& writer, const Clock& clock) {
  HEARTH_TRY(Endpoint endpoint, parse_endpoint(options.base_url));
  HEARTH_TRY(std::string key, read_api_key(options.key_env, options.key_file));
  if (options.model.empty()) {
    return fail(Code::kInvalidArgument, "advisor.model is empty; name the model to ask");
  }
  if (options.provider.empty()) {
    return fail(Code::kInvalidArgument, "advisor.provider is empty; give the provider a name");
  }
  if (options.max_output_tokens == 0 || options.attempts_max == 0) {
    return fail(Code::kInvalidArgument,
                "the adviser's limits of tokens and attempts must not be 0");
  }
  return std::make_unique<AdviserThread>(std::move(options), std::move(endpoint), std::move(key),
                                         client, writer, clock);
}

}  // namespace hearth::advisor

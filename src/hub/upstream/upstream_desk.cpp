#include "hub/upstream/upstream_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "advisor/retry.h"
#include "base/digest.h"
#include "base/log.h"
#include "hub/upstream/provider_body.h"
#include "hub/upstream/provider_reader.h"
#include "hub/upstream/stream_reader.h"

namespace hearth::hub {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kRetryWaitMax{30'000};  // Who waits for an answer is not left waiting longer.
constexpr std::size_t kErrorBodyBytesMax = std::size_t{64} << 10;

bool is_success(int status) { return status >= 200 && status < 300; }

// What a server's refusal means to whoever asked.
Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 402:
      return Code::kOutOfBudget;
    case 408:
    case 409:
    case 429:
      return Code::kUnavailable;
    default:
      return status >= 400 && status < 500 ? Code::kInvalidArgument : Code::kUnavailable;
  }
}

// A count as the server reports it, but none that can't be.
std::uint32_t plausible(std::int64_t reported, std::uint64_t max) {
  const auto most = static_cast<std::int64_t>(std::min<std::uint64_t>(max, INT32_MAX));
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(reported, 0, most));
}

// A token of the prompt is at least one byte of the body; without a limit, an answer may hold what
// nobody saw (hidden thinking).
Usage usage_of(const advisor::TokenUse& use, const advisor::Traffic& traffic) {
  const std::uint64_t most = traffic.max_output_tokens != 0 ? traffic.max_output_tokens : UINT64_MAX;
  const std::uint32_t prompt = plausible(use.prompt_tokens, traffic.request_bytes + traffic.added_prompt_tokens);
  return {.prompt_tokens = prompt,
          .cached_tokens = plausible(use.cached_tokens, prompt),
          .completion_tokens = plausible(use.completion_tokens, most)};
}

std::unique_ptr<UpstreamReader> make_reader(const advisor::WireFormat& wire, const StreamLimits& limits,
                                            UpstreamReader::OnPiece on_piece) {
  if (wire.is_chat()) return std::make_unique<StreamReader>(limits, std::move(on_piece));
  return std::make_unique<ProviderReader>(wire, limits, std::move(on_piece));
}

}  // namespace

// Reads an answer on the HTTP thread, hands on what it says, and reports once, at the end.
class UpstreamDesk::CallSink final : public net::HttpSink {
 public:
  CallSink(UpstreamDesk& desk, UpstreamAskId id, const advisor::WireFormat& wire, const StreamLimits& limits,
           std::shared_ptr<UpstreamSink> sink)
      : desk_(desk),
        id_(id),
        sink_(std::move(sink)),
        reader_(make_reader(wire, limits, [this](UpstreamPiece piece) {
          has_content_ = true;
          sink_->on_piece(std::move(piece));
        })) {}

  void on_head(const net::HttpResponseHead& head) override { head_ = head; }
  bool on_body(std::string_view piece) override {
    digest_.update(piece);
    if (!is_success(head_.status)) {
      error_body_.append(piece.substr(0, kErrorBodyBytesMax - error_body_.size()));
      return true;
    }
    return reader_->feed(piece);
  }
  void on_end(const net::HttpEnd& end) override {
    reader_->finish();
    const bool is_refused = !error_body_.empty();
    desk_.mailbox_.put(CallEnded{id_,
                                 {.end = end,
                                  .head = std::move(head_),
                                  .use = reader_->use(),
                                  .error = is_refused ? advisor::read_error_body(error_body_) : reader_->error(),
                                  .finish_reasons = reader_->finish_reasons(),
                                  .carried = reader_->carried(),
                                  .content_bytes = reader_->content_bytes(),
                                  .has_content = has_content_,
                                  .is_complete = reader_->is_complete(),
                                  .is_cut = reader_->is_cut(),
                                  .is_garbled = reader_->is_garbled(),
                                  .response_sha256 = digest_.finish()}});
  }

 private:
  UpstreamDesk& desk_;
  const UpstreamAskId id_;
  const std::shared_ptr<UpstreamSink> sink_;
  const std::unique_ptr<UpstreamReader> reader_;
  bool has_content_ = false;
  net::HttpResponseHead head_;
  std::string error_body_;
  Sha256Stream digest_;
};

// ---- What a call's end means -------------------------------------------------------------------

std::optional<UpstreamDesk::Judged> UpstreamDesk::judge_status(const CallResult& result) {
  const int status = result.head.status;
  if (status == 0 || is_success(status)) return std::nullopt;
  const std::string words = fmt::format("answered {}: {}", status, advisor::words_of(result.error));
  return Judged{{"refused", words, false}, code_of_status(status), status >= 500};
}

UpstreamDesk::Judged UpstreamDesk::judge(const CallResult& result) {
  if (!result.end.may_have_sent) {
    const bool is_cancelled = result.end.failure == net::HttpFailure::kCancelled;
    return {{"not_sent", "can't be reached: " + result.end.detail, false}, Code::kUnavailable, !is_cancelled};
  }
  if (auto refused = judge_status(result)) return *refused;
  if (result.is_cut) return {{"too_long", "answered more than the limit allows"}, Code::kCorrupt};
  // Once the whole answer is there, how the connection ends is of no interest.
  if (result.is_complete && !result.error.is_set()) return {{"answered", ""}};
  if (result.is_garbled) {
    return {{"broken", "answered something that is no chat completion"}, Code::kCorrupt, true};
  }
  if (result.error.is_set()) {
    const bool is_charged = result.has_content || result.use.prompt_tokens >= 0;
    return {{"refused", "gave up: " + advisor::words_of(result.error), is_charged}, Code::kUnavailable, true};
  }
  if (auto verdict = advisor::judge_transport(result.end)) {
    const bool is_failure = result.end.failure != net::HttpFailure::kCancelled &&
                            result.end.failure != net::HttpFailure::kTooLarge;
    return {*std::move(verdict), Code::kUnavailable, is_failure};
  }
  const char* const words =
      result.has_content ? "broke off in the middle of its answer" : "ended its answer before it began";
  return {{"broken", words}, Code::kUnavailable, true};
}

// ---- For callers, from any thread --------------------------------------------------------------

UpstreamDesk::UpstreamDesk(UpstreamDirectory& directory, net::HttpClient& client,
                           ledger::LedgerWriter& writer, LlamaServer* llama, const Clock& clock,
                           advisor::ConsentDesk* consents)
    : directory_(directory), client_(client), writer_(writer), llama_(llama), clock_(clock), consents_(consents),
      thread_([this] { work(); }) {}

UpstreamDesk::~UpstreamDesk() {
  mailbox_.put(Stop{});
  thread_.join();
}

UpstreamAskId UpstreamDesk::ask(UpstreamAsk ask, std::shared_ptr<UpstreamSink> sink) {
  const UpstreamAskId id{++last_id_};
  mailbox_.put(Asked{id, std::move(ask), std::move(sink)});
  return id;
}

void UpstreamDesk::cancel(UpstreamAskId ask) { mailbox_.put(Cancelled{ask}); }

// ---- The desk's thread -------------------------------------------------------------------------

void UpstreamDesk::work() {
  while (!is_stopping_ || !questions_.empty()) {
    for (DeskMessage& message : mailbox_.take_all_until(advisor::next_retry(questions_))) {
      std::visit([this](auto& content) { on(content); }, message);
    }
    retry_due();
  }
}

UpstreamDesk::Question* UpstreamDesk::find(UpstreamAskId id) {
  const auto found = questions_.find(id);
  return found == questions_.end() ? nullptr : &found->second;
}

void UpstreamDesk::on(Asked& message) {
  Question& question = questions_[message.id];
  question.ask = std::move(message.ask);
  question.sink = std::move(message.sink);
  if (const auto prepared = prepare(question); !prepared) {
    question.end.error = prepared.error();
    return end(message.id);
  }
  question.end.left_out = question.body.left_out;
  begin(message.id, question);
}

const UpstreamDirectory::Server& UpstreamDesk::server_of(const Question& question) const {
  return question.ask.target.child ? question.child : directory_.server(question.ask.target.server);
}

Result<> UpstreamDesk::prepare(Question& question) {
  const UpstreamTarget& target = question.ask.target;
  question.child.endpoint.max_tokens_key = "max_tokens";
  question.child.options.name = "llama-server";
  const auto& server = server_of(question);
  const advisor::WireFormat& wire = *server.wire;
  const BodyOptions options{.model = target.model,
                            .kind = target.kind,
                            .max_tokens_key = wire.wire == advisor::Wire::kOpenAi ? "max_completion_tokens"
                                                                                  : server.endpoint.max_tokens_key,
                            .max_tokens_default = target.is_egress ? server.options.max_output_tokens : 0,
                            .keeps_nothing = wire.wire != advisor::Wire::kChat,
                            .asks_nobody = wire.wire == advisor::Wire::kHearth};
  const ChatRequest& request = question.ask.request;
  HEARTH_TRY(question.body, wire.is_chat() ? make_chat_body(request, options)
                                           : make_provider_body(wire, request, options, carried_));
  question.traffic = {.request_bytes = question.body.json.size(),
                      .max_output_tokens = question.body.max_tokens * request.n,
                      .added_prompt_tokens = request.tools.empty() ? 0 : wire.tool_prompt_tokens};
  return {};
}

std::string UpstreamDesk::url_of(const Question& question) const {
  const auto& server = server_of(question);
  if (question.ask.request.messages.empty()) return server.endpoint.base + "/completions";
  return server.wire->url(server.endpoint.base, question.ask.target.model);
}

void UpstreamDesk::begin(UpstreamAskId id, Question& question) {
  if (is_stopping_) {
    question.end.error = Error{Code::kCancelled, "Hearth is shutting down"};
    return end(id);
  }
  if (question.ask.target.child) return lease(id, question);
  if (const auto open = directory_.begin_call(question.ask.target.server); !open) {
    question.end.error = open.error();
    return end(id);
  }
  question.is_counted = true;
  if (question.ask.target.is_egress) return seek_consent(id, question);
  call(id, question);
}

// The child may have to be started first, or to end what it runs.
void UpstreamDesk::lease(UpstreamAskId id, Question& question) {
  question.step = Step::kLeasing;
  question.sink->on_status(fmt::format("waiting for llama-server with {}", question.ask.target.model));
  question.ticket = llama_->lease(*question.ask.target.child, [this, id](Result<LlamaLease> lease) {
    mailbox_.put(Leased{id, std::move(lease)});
  });
}

void UpstreamDesk::on(Leased& message) {
  Question* const question = find(message.id);
  if (question == nullptr) return;
  if (question->is_cancelled || is_stopping_) {
    question->end.error = Error{Code::kCancelled, "the request was cancelled"};
    return end(message.id);
  }
  if (!message.lease) {
    question->end.error = message.lease.error();
    return end(message.id);
  }
  question->lease = *std::move(message.lease);
  question->child.endpoint.base = question->lease->base_url;
  question->child.endpoint.chat_url = question->lease->base_url + "/chat/completions";
  question->child.endpoint.is_loopback = true;
  question->child.key = question->lease->key;
  call(message.id, *question);
}

// What became of the child explains a connection that broke.
void UpstreamDesk::on(Explained& message) {
  Question* const question = find(message.id);
  if (question == nullptr) return;
  if (!message.words.empty()) {
    const std::string& model = question->ask.target.model;
    question->end.error = Error{Code::kUnavailable,
                                fmt::format("llama-server {} while it ran '{}'; the next request starts it again",
                                            message.words, model)};
    question->retry_in.reset();
  }
  go_on(message.id, *question);
}

ledger::CallIntent UpstreamDesk::intent_of(const Question& question) const {
  const auto& server = server_of(question);
  return {
      .request_id = question.ask.receipt_id,
      .provider = server.options.name,
      .url = url_of(question),
      .model = question.ask.target.model,
      .headers = advisor::recorded_headers(advisor::wire_headers(*server.wire, server.key)),
      .body = question.body.json,
      .rule = question.ask.rule + (question.consented.empty() ? "" : "; " + question.consented),
      .reserved_usd_micro = advisor::worst_case_usd_micro(*question.ask.target.prices, question.traffic)};
}

advisor::DeparturePtr UpstreamDesk::departure_of(const Question& question) const {
  ledger::CallIntent intent = intent_of(question);
  return std::make_shared<const advisor::Departure>(advisor::Departure{
      .consent = {}, .request_id = std::move(intent.request_id), .provider = std::move(intent.provider),
      .model = std::move(intent.model), .url = std::move(intent.url), .headers = std::move(intent.headers),
      .body = std::move(intent.body), .label = question.ask.label, .worst_usd_micro = intent.reserved_usd_micro});
}

// What needs nobody's consent, or has it already, goes on at once.
void UpstreamDesk::seek_consent(UpstreamAskId id, Question& question) {
  const bool has_consent = !question.ask.consent || !question.consented.empty();
  if (question.ask.is_preview) {
    question.sink->on_departure(departure_of(question));
    question.end.is_preview = true;
    return end(id);
  }
  if (has_consent) return record(id, question);
  if (consents_ == nullptr) {
    question.end.error = Error{Code::kPermissionDenied, "it may leave only where somebody agrees, and nobody can be asked"};
    return end(id);
  }
  question.step = Step::kConsenting;
  question.consent = consents_->ask(
      *question.ask.consent, *departure_of(question),
      [&question](const advisor::DeparturePtr& departure) { question.sink->on_departure(departure); },
      [this, id](advisor::ConsentEnd end) { mailbox_.put(Consented{id, std::move(end)}); });
}

void UpstreamDesk::on(Consented& message) {
  Question* const question = find(message.id);
  if (question == nullptr || question->step != Step::kConsenting) return;
  if (question->is_cancelled || is_stopping_) {
    question->end.error = Error{Code::kCancelled, "the request was cancelled"};
    return end(message.id);
  }
  if (!message.end.is_allowed) {
    question->end.error = Error{Code::kPermissionDenied,
                                fmt::format("the privacy policy lets {} leave only where somebody agrees: {}",
                                            question->ask.label, message.end.words)};
    return end(message.id);
  }
  question->consented = "consent: " + message.end.words;
  record(message.id, *question);
}

// Nothing leaves before this is on disk.
void UpstreamDesk::record(UpstreamAskId id, Question& question) {
  question.step = Step::kRecording;
  const auto& server = server_of(question);
  writer_.post([this, id, intent = intent_of(question), budget = server.options.budget](ledger::Ledger& ledger) {
    mailbox_.put(Recorded{id, ledger.begin_call(intent, budget)});
  });
}

void UpstreamDesk::on(Recorded& message) {
  Question* const question = find(message.id);
  if (question == nullptr) return;
  if (!message.call) {
    question->end.error = message.call.error();
    return end(message.id);
  }
  question->call = *message.call;
  if (question->is_cancelled || is_stopping_) {
    question->is_cancelled = true;
    return settle(message.id, *question, {.outcome = "not_sent"});
  }
  call(message.id, *question);
}

void UpstreamDesk::call(UpstreamAskId id, Question& question) {
  question.step = Step::kCalling;
  ++question.n_tries;
  const auto& server = server_of(question);
  net::HttpPost post{.url = url_of(question),
                     .headers = advisor::wire_headers(*server.wire, server.key),
                     .body = question.body.json,
                     .timeouts = server.options.timeouts,
                     .response_bytes_max = server.options.response_bytes_max,
                     .no_proxy = server.endpoint.is_loopback};
  const auto sink = std::make_shared<CallSink>(
      *this, id, *server.wire, StreamLimits{.n_choices = question.ask.request.n}, question.sink);
  question.http_call = client_.post(std::move(post), sink);
}

// Tells the directory how a call went.
void UpstreamDesk::count(Question& question, const Judged& judged) {
  if (!std::exchange(question.is_counted, false)) return;
  const std::size_t server = question.ask.target.server;
  if (judged.is_servers_failure) {
    directory_.end_call(server, judged.verdict.problem);
  } else if (judged.verdict.problem.empty()) {
    directory_.end_call(server, std::nullopt);
  } else {
    directory_.withdraw_call(server);
  }
}

void UpstreamDesk::on(CallEnded& message) {
  Question* const question = find(message.id);
  if (question == nullptr || question->step != Step::kCalling) return;
  CallResult& result = message.result;
  const Judged judged = judge(result);
  count(*question, judged);
  for (auto& [call, state] : result.carried) carried_.put(call, std::move(state));
  UpstreamEnd& end = question->end;
  end.finish_reasons = std::move(result.finish_reasons);
  end.usage = usage_of(result.use, question->traffic);
  end.error.reset();
  if (!judged.verdict.problem.empty()) note_failure(*question, result, judged);
  if (question->lease && judged.is_servers_failure && !question->is_cancelled) {
    question->step = Step::kExplaining;
    return llama_->explain(question->lease->generation, [this, id = message.id](std::string words) {
      mailbox_.put(Explained{id, std::move(words)});
    });
  }
  if (!question->ask.target.is_egress) return go_on(message.id, *question);

  if (result.end.may_have_sent) end.bytes_out += question->body.json.size();
  advisor::Traffic traffic = question->traffic;
  traffic.content_bytes = result.content_bytes;
  const ledger::Settlement settlement =
      advisor::settlement_of({.prices = *question->ask.target.prices,
                              .traffic = traffic,
                              .use = result.use,
                              .http_status = result.head.status,
                              .end = result.end,
                              .response_sha256 = result.response_sha256},
                             judged.verdict);
  end.cost_usd_micro += settlement.charged_usd_micro;
  settle(message.id, *question, settlement);
}

void UpstreamDesk::note_failure(Question& question, const CallResult& result, const Judged& judged) {
  const auto& server = server_of(question);
  question.end.error = Error{judged.code, fmt::format("the upstream '{}' at {} {}", server.options.name,
                                                      server.endpoint.base, judged.verdict.problem)};
  const double jitter = std::uniform_real_distribution<>()(random_);
  question.retry_in = advisor::retry_delay({.failure = result.end.failure,
                                            .head = result.head,
                                            .error = result.error,
                                            .has_text = result.has_content},
                                           question.n_tries, clock_.now_unix_us(), jitter);
}

// Settled before anything else happens, so that a retry's reservation sees what this call cost.
void UpstreamDesk::settle(UpstreamAskId id, Question& question, ledger::Settlement settlement) {
  question.step = Step::kSettling;
  writer_.post([this, id, call = *question.call,
                settlement = std::move(settlement)](ledger::Ledger& ledger) {
    // One that can't be settled stays reserved in full, and the next start charges it.
    if (const auto settled = ledger.settle(call, settlement); !settled) {
      log_error("hub", fmt::format("call {} is not settled: {}", static_cast<std::int64_t>(call),
                                   settled.error().message));
    }
    mailbox_.put(Settled{id});
  });
}

void UpstreamDesk::on(Settled& message) {
  if (Question* const question = find(message.id)) go_on(message.id, *question);
}

// A call is over: so is the question, or it is asked again.
void UpstreamDesk::go_on(UpstreamAskId id, Question& question) {
  question.lease.reset();
  if (question.is_cancelled || is_stopping_) {
    question.end.error = Error{Code::kCancelled, "the request was cancelled"};
    return end(id);
  }
  const auto retry_in = std::exchange(question.retry_in, std::nullopt);
  const auto& options = server_of(question).options;
  const bool is_tried_again = question.end.error && retry_in && *retry_in <= kRetryWaitMax &&
                              question.n_tries < options.attempts_max;
  if (!is_tried_again) return end(id);
  question.step = Step::kWaiting;
  question.retry_at = SteadyClock::now() + *retry_in;
  question.sink->on_status(fmt::format("{}; trying again in {:.1f} s", question.end.error->message,
                                       static_cast<double>(retry_in->count()) / 1000));
}

void UpstreamDesk::retry_due() {
  const auto now = SteadyClock::now();
  std::vector<UpstreamAskId> due;
  for (const auto& [id, question] : questions_) {
    if (question.step == Step::kWaiting && question.retry_at <= now) due.push_back(id);
  }
  for (const UpstreamAskId id : due) begin(id, questions_.at(id));
}

void UpstreamDesk::on(Cancelled& message) {
  if (Question* const question = find(message.id)) cancel_question(message.id, *question);
}

void UpstreamDesk::cancel_question(UpstreamAskId id, Question& question) {
  question.is_cancelled = true;
  if (question.step == Step::kConsenting) consents_->withdraw(question.consent);
  if (question.step == Step::kCalling) client_.cancel(*question.http_call);
  if (question.step == Step::kWaiting) return go_on(id, question);
  if (question.step == Step::kLeasing) llama_->give_up(question.ticket);  // A start may take minutes.
}

void UpstreamDesk::on(Stop&) {
  is_stopping_ = true;
  std::vector<UpstreamAskId> ids;
  for (const auto& [id, question] : questions_) ids.push_back(id);
  for (const UpstreamAskId id : ids) cancel_question(id, questions_.at(id));
}

void UpstreamDesk::end(UpstreamAskId id) {
  const auto found = questions_.find(id);
  Question question = std::move(found->second);
  questions_.erase(found);
  if (question.is_counted) directory_.withdraw_call(question.ask.target.server);
  question.sink->on_end(std::move(question.end));
}

}  // namespace hearth::hub

#include "server/chat_answer.h"

#include <fmt/format.h>

#include <mutex>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "api/openai_response.h"
#include "base/clock.h"
#include "net/sse.h"

namespace hearth::server {
namespace {

namespace openai = api::openai;

// Joins two facts that may come in either order: the hub's id of a request, and that nobody waits for
// it any more.
class CancelLink {
 public:
  explicit CancelLink(hub::Hub& hub) : hub_(hub) {}

  void admitted(hub::RequestId id) {
    const std::lock_guard lock(mutex_);
    id_ = id;
    if (cancelled_) hub_.cancel(id);
  }

  void cancel() {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(cancelled_, true) && id_) hub_.cancel(*id_);
  }

 private:
  hub::Hub& hub_;
  std::mutex mutex_;
  std::optional<hub::RequestId> id_;
  bool cancelled_ = false;
};

std::uint64_t random_bits() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

openai::AnswerHead answer_head(const openai::Request& request) {
  const bool chat = request.endpoint == openai::Endpoint::kChat;
  return {.endpoint = request.endpoint,
          .id = fmt::format("{}-{:016x}{:08x}", chat ? "chatcmpl" : "cmpl", random_bits(),
                            random_bits() >> 32),
          .created_unix_s = Clock::system().now_unix_us() / 1'000'000,
          .model = request.chat.model,
          .logprobs = request.logprobs,
          .include_usage = request.include_usage};
}

// What both kinds of answers do at their end.
class AnswerSink : public hub::ChatSink {
 public:
  explicit AnswerSink(const ChatCall& call)
      : head_(answer_head(call.request)), headers_(call.headers), exchange_(call.exchange),
        metrics_(call.metrics),
        n_choices_(call.request.chat.n),
        echo_(call.request.echo ? call.request.chat.prompt : std::string()) {}

  // Before the first byte of the answer: an error with its status.
  void refuse(const api::ApiError& error) {
    metrics_->count_response(error.status);
    exchange_->respond(error_response(error, headers_));
  }

 protected:
  void observe(const hub::Receipt& receipt) {
    metrics_->first_token.observe_ms(receipt.first_token_ms);
    metrics_->total.observe_ms(receipt.total_ms);
  }

  const openai::AnswerHead head_;
  net::HeaderList headers_;
  const std::shared_ptr<net::HttpExchange> exchange_;
  const std::shared_ptr<Metrics> metrics_;
  const std::uint32_t n_choices_;
  const std::string echo_;
};

// Collects an answer and sends it in one piece.
//
// Threading: the hub's events come one at a time.
class WholeAnswer final : public AnswerSink {
 public:
  explicit WholeAnswer(const ChatCall& call) : AnswerSink(call), choices_(n_choices_) {
    for (openai::Choice& choice : choices_) choice.text = echo_;
  }

  void on_text(std::uint32_t choice, const std::string& text, const engine::TokenEvent& token) override {
    if (choice >= choices_.size()) return;
    choices_[choice].text += text;
    if (head_.logprobs && !token.token.bytes.empty()) choices_[choice].tokens.push_back(token);
  }

  void on_reasoning(std::uint32_t choice, const std::string& text) override {
    if (choice < choices_.size()) choices_[choice].reasoning += text;
  }

  void on_tool_call(std::uint32_t choice, const hub::ToolCallPiece& piece) override {
    if (choice < choices_.size()) openai::append_tool_call(choices_[choice].tool_calls, piece);
  }

  void on_status(const std::string&) override {}

  void on_choice_end(std::uint32_t choice, engine::FinishReason reason) override {
    if (choice < choices_.size()) choices_[choice].reason = reason;
  }

  void on_finish(const hub::Usage& usage, const hub::Receipt& receipt) override {
    observe(receipt);
    metrics_->count_response(200);
    headers_.emplace_back("x-hearth-receipt", receipt.id);
    exchange_->respond({.body = openai::render_answer(head_, choices_, usage, receipt),
                        .headers = std::move(headers_)});
  }

  void on_error(const Error& error) override { refuse(api::api_error(error)); }

 private:
  std::vector<openai::Choice> choices_;
};

// Sends an answer piece by piece.
//
// Threading: the hub's events come one at a time, heartbeats from the I/O thread; a mutex orders them.
class StreamedAnswer final : public AnswerSink {
 public:
  explicit StreamedAnswer(const ChatCall& call)
      : AnswerSink(call),
        chunks_(head_),
        text_bytes_(n_choices_, 0),
        has_tool_calls_(n_choices_, false) {}

  void on_text(std::uint32_t choice, const std::string& text, const engine::TokenEvent& token) override {
    const std::lock_guard lock(mutex_);
    if (choice >= text_bytes_.size()) return;
    start();
    chunks_.text(out_, choice, text, token, text_bytes_[choice]);
    text_bytes_[choice] += token.token.bytes.empty() ? text.size() : token.token.bytes.size();
    send();
  }

  void on_reasoning(std::uint32_t choice, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    start();
    chunks_.reasoning(out_, choice, text);
    send();
  }

  void on_tool_call(std::uint32_t choice, const hub::ToolCallPiece& piece) override {
    const std::lock_guard lock(mutex_);
    if (choice >= has_tool_calls_.size()) return;
    start();
    has_tool_calls_[choice] = true;
    chunks_.tool_call(out_, choice, piece);
    send();
  }

  void on_status(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    start();
    net::append_sse_comment(out_, text);
    send();
  }

  void on_choice_end(std::uint32_t choice, engine::FinishReason reason) override {
    const std::lock_guard lock(mutex_);
    start();
    send_held_finish(nullptr);
    if (choice < n_choices_) held_finish_ = {choice, reason};  // The last one waits for the receipt.
    send();
  }

  void on_finish(const hub::Usage& usage, const hub::Receipt& receipt) override {
    const std::lock_guard lock(mutex_);
    start();
    send_held_finish(head_.include_usage ? nullptr : &receipt);
    if (head_.include_usage) chunks_.usage(out_, usage, receipt);
    net::append_sse_comment(out_, "x-hearth-receipt: " + receipt.id);
    openai::ChunkRenderer::done(out_);
    send();
    exchange_->end_stream();
    observe(receipt);
  }

  void on_error(const Error& error) override {
    const std::lock_guard lock(mutex_);
    if (!started_) return refuse(api::api_error(error));
    ++metrics_->streams_failed;
    openai::ChunkRenderer::error(out_, api::api_error(error));
    send();
    exchange_->end_stream(true);
  }

  void heartbeat() {
    const std::lock_guard lock(mutex_);
    start();
    net::append_sse_comment(out_, "still working");
    send();
  }

 private:
  void start() {
    if (std::exchange(started_, true)) return;
    metrics_->count_response(200);
    net::HeaderList headers = headers_;
    headers.emplace_back("Cache-Control", "no-cache");
    headers.emplace_back("X-Accel-Buffering", "no");  // Asks proxies not to hold events back.
    exchange_->start_stream({.content_type = "text/event-stream; charset=utf-8",
                             .headers = std::move(headers)});
    for (std::uint32_t i = 0; i < n_choices_; ++i) {
      chunks_.role(out_, i);
      if (!echo_.empty()) chunks_.text(out_, i, echo_, {}, 0);
    }
  }

  void send_held_finish(const hub::Receipt* receipt) {
    if (!held_finish_) return;
    const auto [choice, reason] = *held_finish_;
    chunks_.finish(out_, choice, reason, has_tool_calls_[choice], receipt);
    held_finish_.reset();
  }

  void send() {
    if (!out_.empty()) exchange_->write(out_);
    out_.clear();
  }

  std::mutex mutex_;
  openai::ChunkRenderer chunks_;
  std::vector<std::size_t> text_bytes_;  // By choice, so far.
  std::vector<bool> has_tool_calls_;     // By choice.
  std::optional<std::pair<std::uint32_t, engine::FinishReason>> held_finish_;
  std::string out_;  // Kept for its memory.
  bool started_ = false;
};

std::shared_ptr<AnswerSink> make_sink(const ChatCall& call) {
  if (!call.request.stream) return std::make_shared<WholeAnswer>(call);
  auto sink = std::make_shared<StreamedAnswer>(call);
  call.exchange->on_idle(call.heartbeat_every, [weak = std::weak_ptr(sink)] {
    if (const auto alive = weak.lock()) alive->heartbeat();
  });
  return sink;
}

}  // namespace

void answer_chat(hub::Hub& hub, ChatCall call) {
  if (call.exchange->cancelled()) return;  // Left while it waited for a thread.
  if (!call.request.seed_given) call.request.chat.sampling.seed = random_bits();
  const auto sink = make_sink(call);
  const auto link = std::make_shared<CancelLink>(hub);
  call.exchange->on_cancel([link] { link->cancel(); });
  const auto id = hub.chat(std::move(call.request.chat), sink);
  if (id) return link->admitted(*id);
  sink->on_error(id.error());
}

net::ServerResponse error_response(const api::ApiError& error, net::HeaderList headers) {
  if (error.retry_after_s) headers.emplace_back("Retry-After", std::to_string(*error.retry_after_s));
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  return {.status = error.status, .body = api::render_error(error), .headers = std::move(headers)};
}

}  // namespace hearth::server

#include "server/chat_answer.h"

#include <fmt/format.h>

#include <mutex>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "api/hearth/consents.h"
#include "base/clock.h"

namespace hearth::server {
namespace {

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

api::AnswerMark draw_mark() {
  return {.id = fmt::format("{:016x}{:08x}", random_bits(), random_bits() >> 32),
          .created_unix_us = Clock::system().now_unix_us()};
}

// What both kinds of answers do at their end.
class AnswerSink : public hub::ChatSink {
 public:
  explicit AnswerSink(ChatExchange& chat)
      : writer_(chat.call.make_writer(draw_mark())),
        headers_(std::move(chat.headers)),
        render_error_(chat.render_error),
        exchange_(chat.exchange),
        metrics_(chat.metrics),
        n_choices_(chat.call.chat.n),
        counts_only_(chat.call.chat.counts_only) {}

  // Before the first byte of the answer: an error with its status.
  void refuse(const api::ApiError& error) {
    metrics_->count_response(error.status);
    exchange_->respond(error_response(error, headers_, render_error_));
  }

 protected:
  void observe(const hub::Receipt& receipt) {
    if (counts_only_) return;
    metrics_->first_token.observe_ms(receipt.first_token_ms);
    metrics_->total.observe_ms(receipt.total_ms);
  }

  const std::unique_ptr<api::AnswerWriter> writer_;
  net::HeaderList headers_;
  const RenderError render_error_;
  const std::shared_ptr<net::HttpExchange> exchange_;
  const std::shared_ptr<Metrics> metrics_;
  const std::uint32_t n_choices_;
  const bool counts_only_;  // Nothing is generated, and no receipt kept.
};

// Collects an answer and sends it in one piece.
//
// Threading: the hub's events come one at a time.
class WholeAnswer final : public AnswerSink {
 public:
  explicit WholeAnswer(ChatExchange& chat) : AnswerSink(chat), choices_(n_choices_) {}

  void on_text(std::uint32_t choice, const std::string& text, const engine::TokenEvent& token) override {
    if (choice >= choices_.size()) return;
    choices_[choice].text += text;
    if (writer_->wants_tokens() && !token.token.bytes.empty()) choices_[choice].tokens.push_back(token);
  }

  void on_reasoning(std::uint32_t choice, const std::string& text) override {
    if (choice < choices_.size()) choices_[choice].reasoning += text;
  }

  void on_tool_call(std::uint32_t choice, const hub::ToolCallPiece& piece) override {
    if (choice < choices_.size()) api::append_tool_call(choices_[choice].tool_calls, piece);
  }

  void on_status(const std::string&) override {}
  void on_advice(const std::string&, const std::string& text) override { choices_[0].advice.push_back(text); }

  void on_choice_end(std::uint32_t choice, const hub::ChoiceEnd& end) override {
    if (choice < choices_.size()) choices_[choice].end = end;
  }

  void on_finish(const hub::Usage& usage, const hub::Receipt& receipt) override {
    observe(receipt);
    metrics_->count_response(200);
    if (!counts_only_) headers_.emplace_back("x-hearth-receipt", receipt.id);
    exchange_->respond({.body = writer_->whole(choices_, usage, receipt), .headers = std::move(headers_)});
  }

  void on_error(const Error& error) override { refuse(api::api_error(error)); }

 private:
  std::vector<api::Choice> choices_;
};

// Sends an answer piece by piece.
//
// Threading: the hub's events come one at a time, heartbeats from the I/O thread; a mutex orders them.
class StreamedAnswer final : public AnswerSink {
 public:
  explicit StreamedAnswer(ChatExchange& chat) : AnswerSink(chat) {}

  void on_text(std::uint32_t choice, const std::string& text, const engine::TokenEvent& token) override {
    const std::lock_guard lock(mutex_);
    start();
    writer_->text(out_, choice, text, token);
    send();
  }

  void on_reasoning(std::uint32_t choice, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    start();
    writer_->reasoning(out_, choice, text);
    send();
  }

  void on_tool_call(std::uint32_t choice, const hub::ToolCallPiece& piece) override {
    const std::lock_guard lock(mutex_);
    start();
    writer_->tool_call(out_, choice, piece);
    send();
  }

  void on_status(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    start();
    writer_->status(out_, text);
    send();
  }

  void on_advice(const std::string&, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    start();
    writer_->advice(out_, text);
    send();
  }

  void on_departure(const advisor::DeparturePtr& departure) override {
    on_status(api::hearth::render_departure_comment(*departure));
  }

  void on_choice_end(std::uint32_t choice, const hub::ChoiceEnd& end) override {
    const std::lock_guard lock(mutex_);
    start();
    writer_->choice_end(out_, choice, end);
    send();
  }

  void on_finish(const hub::Usage& usage, const hub::Receipt& receipt) override {
    const std::lock_guard lock(mutex_);
    start();
    writer_->finish(out_, usage, receipt);
    send();
    exchange_->end_stream();
    observe(receipt);
  }

  void on_error(const Error& error) override {
    const std::lock_guard lock(mutex_);
    if (!started_) return refuse(api::api_error(error));
    ++metrics_->streams_failed;
    writer_->error(out_, api::api_error(error));
    send();
    exchange_->end_stream(true);
  }

  void heartbeat() { on_status("still working"); }

 private:
  void start() {
    if (std::exchange(started_, true)) return;
    metrics_->count_response(200);
    net::HeaderList headers = headers_;
    headers.emplace_back("Cache-Control", "no-cache");
    headers.emplace_back("X-Accel-Buffering", "no");  // Asks proxies not to hold events back.
    exchange_->start_stream({.content_type = writer_->content_type(), .headers = std::move(headers)});
    writer_->begin(out_);
  }

  void send() {
    if (!out_.empty()) exchange_->write(out_);
    out_.clear();
  }

  std::mutex mutex_;  // Guards what follows, and the writer.
  std::string out_;   // Kept for its memory.
  bool started_ = false;
};

std::shared_ptr<AnswerSink> make_sink(ChatExchange& chat) {
  if (!chat.call.stream) return std::make_shared<WholeAnswer>(chat);
  auto sink = std::make_shared<StreamedAnswer>(chat);
  chat.exchange->on_idle(chat.heartbeat_every, [weak = std::weak_ptr(sink)] {
    if (const auto alive = weak.lock()) alive->heartbeat();
  });
  return sink;
}

}  // namespace

void answer_chat(hub::Hub& hub, ChatExchange chat) {
  if (chat.exchange->cancelled()) return;  // Left while it waited for a thread.
  if (!chat.call.chat.has_seed) chat.call.chat.sampling.seed = random_bits();
  const auto sink = make_sink(chat);
  const auto link = std::make_shared<CancelLink>(hub);
  chat.exchange->on_cancel([link] { link->cancel(); });
  const auto id = hub.chat(std::move(chat.call.chat), sink);
  if (id) return link->admitted(*id);
  sink->on_error(id.error());
}

net::ServerResponse error_response(const api::ApiError& error, net::HeaderList headers, RenderError render) {
  if (error.retry_after_s) headers.emplace_back("Retry-After", std::to_string(*error.retry_after_s));
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  return {.status = error.status, .body = render(error), .headers = std::move(headers)};
}

}  // namespace hearth::server

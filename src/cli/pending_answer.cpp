#include "cli/pending_answer.h"

#include <chrono>

#include "cli/interrupt.h"

namespace hearth::cli {
namespace {

// How soon Ctrl-C is noticed.
constexpr std::chrono::milliseconds kInterruptPoll{50};

}  // namespace

void PendingAnswer::add(Event event) {
  const std::lock_guard lock(mutex_);
  if (!end_) events_.push_back(std::move(event));
  changed_.notify_one();
}

void PendingAnswer::add_text(std::string text) { add({Kind::kText, std::move(text)}); }
void PendingAnswer::add_thinking(std::string text) { add({Kind::kThinking, std::move(text)}); }
void PendingAnswer::add_status(std::string status) { add({Kind::kStatus, std::move(status)}); }

void PendingAnswer::add_departure(advisor::DeparturePtr departure) {
  add({Kind::kDeparture, "", std::move(departure)});
}

namespace {

void tell_departure(const AnswerListener& listener, const advisor::Departure& departure, const PendingAnswer::OnReply& reply) {
  if (!departure.consent.empty()) {
    reply(departure.consent, listener.on_consent ? listener.on_consent(departure) : ConsentReply{});
  } else if (listener.on_preview) {
    listener.on_preview(departure);
  }
}

}  // namespace

void PendingAnswer::tell(const AnswerListener& listener, const Event& event, const OnReply& reply) {
  switch (event.kind) {
    case Kind::kText: return listener.on_text(event.text);
    case Kind::kThinking: return listener.on_thinking(event.text);
    case Kind::kStatus: return listener.on_status(event.text);
    case Kind::kDeparture: return tell_departure(listener, *event.departure, reply);
  }
}

void PendingAnswer::set_reason(engine::FinishReason reason) {
  const std::lock_guard lock(mutex_);
  reason_ = reason;
}

void PendingAnswer::end(Result<hub::Receipt> receipt) {
  const std::lock_guard lock(mutex_);
  if (!end_) end_ = std::move(receipt);
  changed_.notify_one();
}

bool PendingAnswer::wait_briefly(std::unique_lock<std::mutex>& lock) {
  changed_.wait_for(lock, kInterruptPoll, [&] { return !events_.empty() || end_.has_value(); });
  return events_.empty() && !end_;
}

Result<Answer> PendingAnswer::wait(const AnswerListener& listener, const std::function<void()>& cancel,
                                   const OnReply& reply) {
  Answer answer;
  bool cancelled = false;
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool idle = wait_briefly(lock);
    if (!cancelled && take_interrupt()) {
      cancelled = true;
      lock.unlock();
      cancel();
      lock.lock();
    }
    if (idle) continue;
    while (!events_.empty()) {
      const Event event = std::move(events_.front());
      events_.pop_front();
      lock.unlock();
      if (!cancelled) tell(listener, event, reply);
      if (event.kind == Kind::kText) answer.text += event.text;
      lock.lock();
    }
    if (end_) break;
  }
  if (cancelled) return fail(Code::kCancelled, "interrupted");
  if (!*end_) return std::unexpected(end_->error());
  answer.reason = reason_;
  answer.receipt = **end_;
  return answer;
}

}  // namespace hearth::cli

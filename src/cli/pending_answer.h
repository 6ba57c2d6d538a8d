// An answer on its way: events come in on a hub's or a client's thread, the verb's thread
// takes them out and prints.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/answer_source.h"

namespace hearth::cli {

// Threading: the add_* and end members from any thread; `wait` from one.
class PendingAnswer {
 public:
  void add_text(std::string text);
  void add_thinking(std::string text);
  void add_status(std::string status);
  void add_departure(advisor::DeparturePtr departure);
  void set_reason(engine::FinishReason reason);
  // The last event; later ones are dropped.
  void end(Result<hub::Receipt> receipt);

  // What was said of a call that waits for consent.
  using OnReply = std::function<void(const std::string& consent, const ConsentReply& reply)>;

  // Hands events to `listener` until the end.  At Ctrl-C it calls `cancel` once, waits for the end
  // that must follow, and returns kCancelled.
  Result<Answer> wait(const AnswerListener& listener, const std::function<void()>& cancel, const OnReply& reply);

 private:
  enum class Kind : std::uint8_t { kText, kThinking, kStatus, kDeparture };
  struct Event {
    Kind kind;
    std::string text;
    advisor::DeparturePtr departure = {};
  };
  static void tell(const AnswerListener& listener, const Event& event, const OnReply& reply);
  void add(Event event);
  bool wait_briefly(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  engine::FinishReason reason_ = engine::FinishReason::kStop;
  std::optional<Result<hub::Receipt>> end_;
};

}  // namespace hearth::cli

// A mailbox: any thread puts messages in, one owner takes them out, in order and in
// batches.  This is how threads that own something are talked to: no lock around what
// they own, only around the letter box.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

namespace hearth {

// Unbounded: whoever lets senders in must bound what each may have under way.
//
// Threading: put() from any thread; the others by the owner.
template <class Message>
class Mailbox {
 public:
  // Notifies under the lock: the owner may destroy the mailbox as soon as it has taken the message,
  // and by then this call must be done with the condition variable.
  void put(Message message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    changed_.notify_one();
  }

  // Waits until there is something and takes all of it.
  std::deque<Message> take_all() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !messages_.empty(); });
    return std::exchange(messages_, {});
  }

  // The same, but gives up, with nothing, at `deadline`.
  std::deque<Message> take_all_until(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return !messages_.empty(); });
    return std::exchange(messages_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> messages_;
};

}  // namespace hearth

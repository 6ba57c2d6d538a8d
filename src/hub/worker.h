// A thread that runs jobs one after another: for what may take its time (loading a model,
// tokenising a long prompt) while the conductor goes on.
#pragma once

#include <functional>
#include <thread>
#include <utility>

#include "base/mailbox.h"

namespace hearth::hub {

// Threading: post() from any thread.  Destruction finishes the queue first.
class Worker {
 public:
  using Job = std::function<void()>;

  Worker() : thread_([this] { work(); }) {}
  ~Worker() {
    jobs_.put(nullptr);
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void post(Job job) { jobs_.put(std::move(job)); }

 private:
  void work() {
    for (;;) {
      for (Job& job : jobs_.take_all()) {
        if (job == nullptr) return;
        job();
        job = nullptr;
      }
    }
  }

  Mailbox<Job> jobs_;
  std::thread thread_;  // Last: it uses the inbox.
};

}  // namespace hearth::hub

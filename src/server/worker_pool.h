// A few threads that run closures in order of arrival: what may block (admitting a request can
// load a model) stays off the I/O thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth::server {

// Threading: submit from any thread; stop and the destructor from the owner.
class WorkerPool {
 public:
  WorkerPool(unsigned n_threads, std::size_t queue_max);
  ~WorkerPool();  // stop().

  // False if the queue is full or the pool stopped; the task is dropped then.
  bool submit(std::function<void()> task);

  // Drops what waits, finishes what runs.
  void stop();

 private:
  void work();

  const std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace hearth::server

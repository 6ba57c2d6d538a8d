// Touches memory before it is used.  The first touch of a large page zeroes 2 MiB, and on a virtual
// machine the host has to find them first: 5 ms were measured, in the middle of somebody's answer.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <thread>

namespace hearth::engine {

// Threading: `want` from any thread; a thread of its own, less urgent than others, touches.
class TouchAhead {
 public:
  // `memory` outlives this, and is touched in steps of `step_bytes`.
  TouchAhead(std::span<std::byte> memory, std::size_t step_bytes);
  ~TouchAhead();
  TouchAhead(const TouchAhead&) = delete;
  TouchAhead& operator=(const TouchAhead&) = delete;

  // The first `n_bytes` of the memory are wanted soon.  Returns at once and never allocates.
  void want(std::size_t n_bytes);

 private:
  void loop();

  const std::span<std::byte> memory_;
  const std::size_t step_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t wanted_bytes_ = 0;
  bool is_stopping_ = false;
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace hearth::engine

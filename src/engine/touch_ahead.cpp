#include "engine/touch_ahead.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace hearth::engine {
namespace {

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14.
#endif

// Enough for what sessions grow by (some ten MB a second), too little to be felt beside a decode.
constexpr int kNiceness = 10;

}  // namespace

TouchAhead::TouchAhead(std::span<std::byte> memory, std::size_t step_bytes)
    : memory_(memory), step_bytes_(step_bytes), thread_([this] { loop(); }) {}

TouchAhead::~TouchAhead() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void TouchAhead::want(std::size_t n_bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (n_bytes <= wanted_bytes_) return;
    wanted_bytes_ = n_bytes;
  }
  changed_.notify_one();
}

void TouchAhead::loop() {
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
  for (std::size_t touched = 0; touched < memory_.size();) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return is_stopping_ || touched < wanted_bytes_; });
      if (is_stopping_) return;
    }
    const auto step = memory_.subspan(touched, std::min(step_bytes_, memory_.size() - touched));
    // What somebody wrote meanwhile stays.  A kernel that can't do this, and one that has no memory
    // left, leave the touching to whoever writes first.
    if (::madvise(step.data(), step.size(), MADV_POPULATE_WRITE) != 0) return;
    touched += step.size();
  }
}

}  // namespace hearth::engine

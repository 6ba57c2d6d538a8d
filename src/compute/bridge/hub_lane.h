// One client's way to the kernels of the house: a page that it asks by, and a thread that answers.
//
// The thread waits as a worker does, spinning briefly and then asleep, so that a run of a built-in
// kernel costs what one of a compiled kernel does.  It believes nothing in the page: a request names
// a call that was checked when it was bound, and that is all it can name.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "compute/bridge/hub_page.h"
#include "compute/bridge/memory_pool.h"
#include "compute/bridge/services.h"

namespace hearth::compute::bridge {

// The threads that kernels of the house compute on: one kernel at a time.  What runs elsewhere uses
// none and waits for nobody.
struct SharedThreads {
  explicit SharedThreads(unsigned n_threads) : pool(n_threads) {}
  ThreadPool pool;
  std::mutex in_use;
};

struct HubCall {
  const HubKernel* kernel = nullptr;
  Bindings bindings;
  std::vector<std::shared_ptr<MemoryBlock>> memory;  // Keeps what `bindings` point to.
  std::shared_ptr<const HubKernel> owned = nullptr;  // Keeps `kernel` where it is a client's.
};

// Threading: by the session's thread, but for what the page's other end does.
class HubLane {
 public:
  static Result<std::unique_ptr<HubLane>> start(SharedThreads& threads);
  ~HubLane();  // What runs is given up and waited for.
  HubLane(const HubLane&) = delete;
  HubLane& operator=(const HubLane&) = delete;

  int page_descriptor() const { return memory_.fd(); }
  void add(std::uint32_t call, HubCall what);
  void remove(std::uint32_t call);

 private:
  HubLane(SharedThreads& threads, sandbox::SharedMapping memory);
  void serve();
  void answer_one(std::uint32_t run);
  Result<HubRun> run_call(std::uint32_t call, std::uint32_t run);

  SharedThreads& threads_;
  sandbox::SharedMapping memory_;
  HubPage* page_;
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, std::shared_ptr<const HubCall>> calls_;  // Guarded by mutex_.
  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

}  // namespace hearth::compute::bridge

// A way to have kernels run: a shared page, and who waits at its other end (the hub, or a worker).
//
// Runs on a lane go one after another.  The one in flight may be told by another thread to stop; the
// thread that waits for it then gives the kernel kGraceNs to heed that, and replaces the worker if it
// does not: so that only one thread ever talks about a lane to the hub.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "compute/bridge/hub_page.h"
#include "compute/bridge/message_socket.h"
#include "compute/bridge/protocol.h"
#include "failure.h"
#include "sandbox/owned_fd.h"

namespace hearth::client {

class Link;

// Leaves as much of the 5 ms, within which a newer run goes ahead, for replacing a worker that does not listen.
inline constexpr std::int64_t kGraceNs = 1'000'000;

// Whose run it is, so that others can stop it.
struct Flight {
  const void* kernel = nullptr;
  std::uint64_t generation = 0;
  std::int64_t deadline_ns = 0;  // For the run, in all; 0: none but the hub's.
  // Of the kernel: a run that is overtaken between its own check and its start does not start.
  const std::atomic<std::uint64_t>* newest = nullptr;
  const std::atomic<std::uint64_t>* cancelled = nullptr;

  Outcome<> check() const {
    if (generation == 0) return {};
    if (generation < newest->load()) return failed(HEARTH_SUPERSEDED, "a newer run took this one's place");
    if (generation <= cancelled->load()) return failed(HEARTH_CANCELLED, "the run was cancelled");
    return {};
  }
};

struct LaneRun {
  double kernel_s = 0;  // From asking to the answer, as seen here; a deadline, a fault and a stop are failures.
  // Of a run in the hub: what a device says of it.
  std::uint32_t n_copies = 0;
  std::array<char, sizeof(hearth_report::device)> device{};
};

// Threading: `use` is taken by who binds and runs; stop() by any other thread.
class Lane {
 public:
  Lane() = default;
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  std::mutex use;  // Guards all but what stop() touches.

  // Bound calls of another generation are of a worker that is gone.
  std::uint32_t generation() const { return generation_; }

  // Opens the lane if it is not open.
  Outcome<> open(Link& link, compute::bridge::Place place);
  Outcome<LaneRun> run(Link& link, const sandbox::RunRequest& request, const Flight& flight);

  // Whether the worker has died meanwhile; then the next one is taken over, and calls need to be bound anew.
  bool renew(Link& link);

  // Ends the run in flight if it is this kernel's and has a generation above 0 and below `generation`; the
  // run then fails with `why`.
  void stop(const void* kernel, std::uint64_t generation, hearth_status why);

 private:
  Outcome<> take_over(compute::bridge::Message& reply, std::string* reason, compute::bridge::Ending* ending);
  Outcome<> await(Link& link, std::uint32_t run, std::int64_t deadline_ns);
  Outcome<> judge(Link& link, const sandbox::RunRequest& request, std::uint32_t run);
  Outcome<> replace(Link& link, hearth_status status, std::string sentence);
  bool has_died() const;
  hearth_status stop_status();
  void unmap();

  compute::bridge::Place place_ = compute::bridge::Place::kHub;
  compute::bridge::HubPage* page_ = nullptr;  // A worker's page ends with its channel.
  sandbox::OwnedFd process_;                  // A worker's pidfd.
  compute::bridge::AdaptiveSpin spin_;
  std::uint32_t generation_ = 0;

  // Of the run in flight, guarded by flight_mutex_.
  std::mutex flight_mutex_;
  Flight flight_;
  std::uint32_t flight_run_ = 0;
  hearth_status stop_status_ = HEARTH_OK;
  std::atomic<std::int64_t> stop_since_ns_{0};
};

}  // namespace hearth::client

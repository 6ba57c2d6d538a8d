// Runs an image in a worker of its own, as if it were hostile.
//
// Each run gets memory of its own at addresses of its own: inputs that nobody in the worker can
// write, outputs full of poison between guard pages, flush against the guard at their beginning or
// at their end. The worker is stopped before anybody looks at the outputs, and they are looked at
// again after it has gone on: what changes later was not done in time.  Nor was what changes
// between the answer and the stop, 60 us in which a kernel that answered early could go on: words
// that nobody can foresee are read at once.
//
// What a kernel does wrong (a fault, a call, no answer in time, bytes written beside its outputs)
// is an error in one sentence that names the parameter.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/case.h"
#include "compute/contract.h"
#include "sandbox/owned_fd.h"
#include "sandbox/worker.h"

namespace hearth::compute {

// Where in its pages a tensor lies.
enum class Placement : std::uint8_t {
  kStart,    // Its first byte follows a guard page.
  kEnd,      // Its last byte is followed by one.
  kShifted,  // Off every vector's alignment.
};

struct RunnerOptions {
  std::uint32_t n_threads = 1;
  std::chrono::milliseconds deadline{2000};  // Of a run.
  // Of a kernel for a device: its terms, which say how it is launched; borrowed.
  const Contract* on_device = nullptr;
  std::string library = {};  // The device's driver, instead of the usual one: for tests.
};

// With the threads that the contract grants, and on its device, if it is for one; borrows it.
RunnerOptions runner_options(const Contract& contract, std::chrono::milliseconds deadline);

struct RunSetup {
  Placement placement = Placement::kStart;
  std::byte poison{0xFF};     // 0xFF is NaN as f32 and f64.
  bool is_populated = false;  // Page tables are filled before: for timing.
  // The kernel is told of this, and not of the case's own: for mutations (mutate.h).
  std::optional<std::vector<std::int64_t>> symbols = std::nullopt;
  // Which tensor stands in each place; empty: each in its own.
  std::vector<std::size_t> order = {};
};

struct Outputs {
  std::vector<TensorData> tensors;  // Of the parameters that are written, in order.
  std::int64_t elapsed_ns = 0;
};

// Of times that disturbances can only lengthen: what all but a few took at least.  Not empty.
std::int64_t lower_quartile(std::vector<std::int64_t> elapsed_ns);

// Threading: externally synchronised.
class KernelRunner {
 public:
  // `signature` is borrowed and outlives the runner; `image_fd` may be closed.  kUnsupported where
  // no jail can be built; kInvalidArgument for an image that the loader refuses.
  static Result<KernelRunner> create(const Signature& signature, int image_fd,
                                     const RunnerOptions& options);

  KernelRunner(KernelRunner&&) noexcept;
  KernelRunner& operator=(KernelRunner&&) noexcept;
  ~KernelRunner();

  // kInvalidArgument: what the kernel did wrong.  A worker that ended is replaced at the next run.
  Result<Outputs> run(const Case& arguments, const RunSetup& setup);

  // The same memory at the same addresses as in the run before, with other values in it; sizes must
  // be equal.
  Result<Outputs> run_in_place(const Case& arguments, std::byte poison);

  // Further runs in the memory of the last, so often, each after some elements of the inputs have
  // changed places (in `arguments`, too) and some words of the outputs have become others: caches
  // stay warm, and who does nothing, or remembers, is found out.  Tensors are contiguous.  Adds
  // each run's time; the results are those of the last.
  Result<Outputs> run_warm(Case& arguments, int n_runs, std::vector<std::int64_t>& elapsed_ns);

  // So many runs with the same arguments in fresh memory, for a caller who wants the time and the
  // results: those of the last, with elapsed_ns the lower quartile of all, less what an empty run
  // costs.  kInvalidArgument also where their bits differ.
  Result<Outputs> run_often(const Case& arguments, int n_runs);

  // What a run costs in which nothing is computed, in nanoseconds.
  Result<std::int64_t> empty_ns();

  // What a kernel writes after it has answered is found when the memory is given back, at the next
  // run or here.
  Result<> check_settled();

  const RunnerOptions& options() const;
  // The process of the worker that the next run will be in, a new one where the last has ended: to
  // end what nobody waits for any more.  The caller's own: it outlives the worker.
  Result<sandbox::OwnedFd> process_descriptor();

 private:
  struct State;
  explicit KernelRunner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::compute

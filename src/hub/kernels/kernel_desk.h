// All kernels of this hub, by name: those of the house (compute/builtin) and those on the shelf,
// which were verified here; to be listed, run on arrays, written, built, dropped.
//
// What is here is for callers who send data and wait: the HTTP API, tools of models.  Programs that
// run kernels often share memory with them instead (compute/bridge).
//
//   of the house   in this process, on a pool of the desk's own, one at a time
//   on a device    of the house, named with it ("gemm_f32@opencl"): in that device's process, which
//                  is started when it is first needed (compute/devices)
//   verified       in a worker that is started for the call, jailed, with fresh memory
//                  (kernel_runner.h); where no jail can be built they are refused with the reason
//
// A run ends when nobody wants it any more or after `run_max`.  The shelf, the adviser and the
// threads come when they are first needed: a hub whose clients want no kernels pays nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "compute/builtin/builtin.h"
#include "compute/devices/devices.h"
#include "compute/receipt.h"
#include "compute/shelf.h"
#include "compute/still_wanted.h"
#include "hub/kernels/kernel_adviser.h"
#include "hub/kernels/kernel_call.h"
#include "hub/kernels/kernel_writer.h"
#include "hub/kernels/run_watch.h"

namespace hearth::hub {

struct KernelDeskOptions {
  std::function<Result<std::unique_ptr<compute::KernelShelf>>()> open_shelf;
  std::function<Result<KernelAdviser>()> open_adviser;   // Unset: nobody writes kernels.
  unsigned n_threads = 0;                                // 0: one for each usable core.
  std::chrono::milliseconds run_max{60'000};             // All runs of a call together.
  std::string run_max_name = "compute.run_seconds_max";  // What who sets it calls it.
  std::uint64_t run_bytes_max = std::uint64_t{1} << 30;  // Of a call's tensors.
  // This program as a device's host (compute/devices/devices.h); empty: nothing runs on devices.
  std::vector<std::string> device_command = {};
};

// One that can be run.  Cheap to copy; what it refers to stays.
struct RunnableKernel {
  // Of a built-in: its row's terms, without an oracle.
  std::shared_ptr<const compute::Contract> contract;
  Sha256 key{};                               // contract_key() of it.
  const compute::Builtin* builtin = nullptr;  // Else `verified`.
  std::shared_ptr<const compute::Kernel> verified;
  const compute::DeviceRow* device = nullptr;  // That a built-in is to run on; null: the processor.

  // As find() takes it: "gemm_f32", "gemm_f32@opencl".
  std::string name() const {
    return device == nullptr ? contract->name : contract->name + "@" + std::string(device->name);
  }
};

struct KernelEntry {
  RunnableKernel kernel;
  std::optional<compute::Statement> receipt;  // Of a verified one.
  // The last that was timed beside the roofs, since the start.
  std::optional<compute::Speed> last_run;
};

struct KernelOutcome {
  std::vector<std::int64_t> symbols;
  std::vector<NamedTensor> outputs;  // In the signature's order.
  std::vector<std::string> drawn;    // Inputs that nobody gave.
  std::uint32_t n_runs = 0;
  std::int64_t flops = 0, bytes = 0;        // Of one run, as its contract counts.
  unsigned n_threads = 0;                   // 0: a device's own.
  std::string device{compute::kProcessor};  // Or the device's name.
  std::uint32_t n_copies = 0;               // Of tensors in a run, for a device.
  compute::Speed speed;  // Of a built-in's runs the best one's, of others' the lower quartile's.
  Sha256 results{};      // Of the bits of all outputs.
};

// A kind of device, and what is here of it.
struct DeviceEntry {
  const compute::DeviceRow* row = nullptr;
  Result<compute::DeviceInfo> found;
};

// What this machine can do with floats, doubles and memory beyond its caches, on all of the desk's
// threads.
struct MachineRoofs {
  unsigned n_threads = 0;
  double gflops_f32 = 0, gflops_f64 = 0, gb_s = 0;
};

using compute::StillWanted;  // Looked at from another thread.

// What becomes known while a kernel is written; all on the writer's thread.
struct WritingEvents {
  compute::Progress progress = {};
  std::function<void(const KernelRound&)> on_round = {};
  std::function<void(const advisor::Departure&)> on_departure = {};
};

// Threading: any thread.
class KernelDesk {
 public:
  explicit KernelDesk(KernelDeskOptions options);
  ~KernelDesk();

  // Those of the house, in their order, then the verified ones by name.
  Result<std::vector<KernelEntry>> list();
  // By name or by 8 digits and more of the key; one that has a built-in's name is found by its key
  // alone.  Behind an '@' stands the device.  kNotFound; kUnsupported: it does not run there.
  Result<RunnableKernel> find(std::string_view name);
  KernelEntry describe(const RunnableKernel& kernel) const;

  // kInvalidArgument: the call, or what the kernel did wrong
  // kOutOfBudget:     too much memory
  // kUnsupported:     no jail, with the reason
  // kCancelled:       nobody wants it any more
  // kUnavailable:     its time is up
  Result<KernelOutcome> run(const RunnableKernel& kernel, KernelCall call,
                            const StillWanted& still_wanted);

  // The same with arguments that lie somewhere already, for a built-in on a device: no longer than
  // run_max, too.
  Result<compute::DeviceRun> run_on_device(const RunnableKernel& kernel,
                                           const compute::Bindings& arguments,
                                           const StillWanted& still_wanted);
  // Those that there could be, and whether they are: found out once, each in a process of its own.
  std::vector<DeviceEntry> look_for_devices();
  // Makes the one ready that a built-in is to run on.
  Result<compute::DeviceInfo> open_device(const RunnableKernel& kernel,
                                          const StillWanted& still_wanted);

  // From prose, or what a contract without a source says: found on the shelf or asked for
  // (kernel_writer.h).  A contract with its source is built from that, and nobody is asked.
  Result<WrittenKernel> write(KernelRequest request, std::uint32_t rounds_max,
                              const StillWanted& still_wanted, const WritingEvents& events);
  // Verifies one of the shelf again.
  Result<compute::VerifyReport> check(std::string_view name, std::uint64_t seed);
  // Forgets one of the shelf; its key.  kNotFound; kPermissionDenied for those of the house.
  Result<Sha256> drop(std::string_view name);

  // Why verified kernels can't run here; success if they can.  Found out once.
  Result<> jail() const;
  // Probed when it is first asked for, some 100 ms.
  MachineRoofs roofs();
  const KernelDeskOptions& options() const { return options_; }

 private:
  Result<compute::KernelShelf*> shelf();
  Result<KernelAdviser*> adviser();
  ThreadPool& pool();  // With in_use_ held.
  RunLimit run_limit() const { return {options_.run_max, options_.run_max_name}; }
  Result<WrittenKernel> build(const KernelRequest& request, const WritingEvents& events);
  Result<RunnableKernel> find_unplaced(std::string_view name);
  Result<> run_placed(const RunnableKernel& kernel, const KernelCall& call,
                      const StillWanted& still_wanted, compute::Case& arguments,
                      KernelOutcome& outcome);
  Result<> run_builtin(const RunnableKernel& kernel, const KernelCall& call,
                       const StillWanted& still_wanted, compute::Case& arguments,
                       KernelOutcome& outcome);
  Result<> run_verified(const RunnableKernel& kernel, const KernelCall& call,
                        const StillWanted& still_wanted, const compute::Case& arguments,
                        KernelOutcome& outcome);
  void rate(const RunnableKernel& kernel, const KernelCall& call, KernelOutcome& outcome);

  const KernelDeskOptions options_;
  const std::vector<RunnableKernel> house_;
  compute::Devices devices_;
  std::mutex opening_;  // Guards the next two.
  std::unique_ptr<compute::KernelShelf> shelf_;
  std::optional<KernelAdviser> adviser_;
  std::mutex in_use_;  // Held by who computes on the pool.
  std::unique_ptr<ThreadPool> pool_;
  mutable std::mutex told_;  // Guards what follows.
  std::optional<MachineRoofs> roofs_;
  std::map<Sha256, compute::Speed> last_runs_;
};

}  // namespace hearth::hub

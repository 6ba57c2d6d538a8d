// What the bridge is given by those who know: kernels, their making, and models.  The bridge itself knows
// sockets, memory and workers alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compute/builtin/builtin.h"
#include "compute/builtin/workers.h"
#include "compute/signature.h"
#include "compute/still_wanted.h"
#include "sandbox/owned_fd.h"

namespace hearth::compute::bridge {

// What a run costs, as its contract counts; nothing is known of it: 0.
using CostOf = std::function<Result<Cost>(const Bindings&)>;

// What a run says of itself: nothing, on the processor and the client's own memory.
struct HubRun {
  std::uint32_t n_copies = 0;  // Of the call's tensors, for a device.
  std::string device = {};     // Its name; empty: the processor.
};

// A kernel of the house: trusted code, run by a thread of the hub.  Or one that the hub has run
// elsewhere, in a device's process: then it takes none of the hub's threads from others.
struct HubKernel {
  std::string name;
  Signature signature;
  CostOf cost;
  // May return early, with unfinished outputs, once the workers say that it was given up.
  std::function<Result<HubRun>(const Bindings&, const Workers&)> run;
  bool is_elsewhere = false;
};

// Those that the program brings along (compute/builtin).
std::vector<HubKernel> house_kernels();

// A compiled kernel: runs in the client's worker and nowhere else.
struct JailedKernel {
  std::string name;
  std::string key;      // Of its contract and source, in hexadecimal.
  std::string receipt;  // JSON.
  bool is_verified = false;
  double compile_s = 0;
  Signature signature;
  CostOf cost;
  sandbox::OwnedFd image;  // Sealed.
  // Of a kernel for a device: has the hub run it in that device's process; there is no image for the
  // client's worker.
  std::shared_ptr<const HubKernel> on_device = nullptr;
};

struct Built {
  std::string key;
  bool is_cached = false;
  double compile_s = 0;
};

struct Checked {
  std::uint32_t n_checks = 0;
  double error_ulps = 0;
};

struct Question {
  std::string client, model, system, prompt;
  std::uint32_t max_tokens = 0;
};

struct AnswerPiece {
  std::string text;
  bool is_end = false;  // Then `receipt` is the receipt's id.
  std::string receipt;
};

// A model's answer; destroyed early, it is cancelled.
class AnswerStream {
 public:
  virtual ~AnswerStream() = default;
  // The next piece, nothing if none came in time, or the answer's error.
  virtual Result<std::optional<AnswerPiece>> next(std::chrono::milliseconds at_most) = 0;
};

struct MachineRoofs {
  unsigned n_threads = 0;
  double gflops_f32 = 0, gflops_f64 = 0, gbps_read = 0, gbps_stream = 0;
};

// Each may be empty: then a client is told that this hub does not do that.  Called from the sessions' threads,
// several at a time.
struct Services {
  std::vector<HubKernel> hub_kernels;
  std::function<Result<std::shared_ptr<const JailedKernel>>(std::string_view name_or_key)> find_kernel;
  std::function<std::vector<std::string>()> list_kernels;  // Lines "NAME SIGNATURE".
  std::function<Result<Built>(std::string_view contract, const StillWanted&)> build;
  std::function<Result<Built>(std::string_view prose, const StillWanted&)> write;
  std::function<Result<Checked>(std::string_view key, std::uint64_t seed, const StillWanted&)> check;
  std::function<Result<std::unique_ptr<AnswerStream>>(const Question&)> ask;
  std::function<Result<MachineRoofs>()> measure_roofs;  // Empty: device/roofs.h does.
};

}  // namespace hearth::compute::bridge

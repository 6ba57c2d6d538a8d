// A jailed process that runs compiled kernels, as its owner sees it.
//
// The process is a static program of our own, carried inside this library and started from memory,
// with nothing of the hub's in its memory and two descriptors: a control socket, by which it is
// given images and memory, and the run channel.  It makes its threads, then gives up everything: no
// capability, no file (Landlock), and of the system calls those that sleeping and waking take, on
// the threads that run kernels; on the one that reads the control socket also mmap and munmap.  A
// kernel may do what it likes in there, the worker's own data included; the border is the process
// (docs/design/0022-jails.md).
//
// Kernels for devices have a worker of their own kind, with a driver in it and therefore more calls
// and files than nothing: the filter lets no process be started and no socket be made, Landlock none
// but public files be read, and a GPU's isolation is what its driver makes of it
// (docs/design/0032-kernels-for-devices.md).
//
// So what a worker says is never believed further than it costs to be wrong: answers are bounded,
// waiting has deadlines, and a worker that breaks the protocol is killed.  It ends with its owner,
// however that dies.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "sandbox/device_image.h"
#include "sandbox/run_channel.h"

namespace hearth::sandbox {

using Deadline = std::chrono::steady_clock::time_point;

inline constexpr std::uint32_t kWorkerThreadsMax = 256;
inline constexpr std::uint64_t kImageBytesMax = std::uint64_t{64} << 20;  // Of an image's file.

// What runs kernels in a worker.
enum class WorkerKind : std::uint8_t {
  kProcessor,  // The worker's own threads: images are compiled objects.
  kOpenCl,     // A device, by its driver: images as device_image.h has them, one in a worker.
  kCuda,
};

struct WorkerLimits {
  std::uint64_t memory_bytes = std::uint64_t{256}
                               << 20;  // What images take, their zeroed data included.
  std::uint64_t mapped_bytes = std::uint64_t{64}
                               << 30;  // What map() may map at a time, guards included.
  std::uint64_t stack_bytes = std::uint64_t{8} << 20;  // Of each thread that runs kernels.
  std::uint32_t n_threads = 1;                         // For parallel_for, the caller's included.
  std::uint32_t spin_us = 40;  // How long its threads look for work before they sleep.
  WorkerKind kind = WorkerKind::kProcessor;
  std::string library = {};    // A device's driver, instead of the usual one: for tests.
};

enum class Access : std::uint8_t {
  kRead,   // Arrives as a read-only descriptor: nothing in the worker can make it writable.
  kWrite,  // Read and write.
};

enum class RunEnd : std::uint8_t {
  kDone,      // The kernel returned in time, or says so.
  kGaveUp,    // The deadline passed and the kernel heeded it: the worker lives.
  kRefused,   // The request names what is not there; nothing ran.
  kFault,     // A signal ended the kernel and the worker.
  kDied,      // The worker ended without a word: killed, out of memory, or by a call that it hid.
  kDeadline,  // The deadline passed and it was killed.
  kFailed,    // A device could not do it; the worker is killed.
};

struct RunOutcome {
  RunEnd end = RunEnd::kDied;
  RunAnswer answer{};           // Its claims, for kFault.
  std::int64_t elapsed_ns = 0;  // From the asking to the answer, by this process's clock.
  bool worker_lives = false;    // Whether the worker may be asked again.

  // One sentence for a person: "the kernel wrote or read 64 bytes behind buffer mapping 3 (...)".
  std::string sentence() const;
};

// Threading: externally synchronised.  May be moved between threads.
class Worker {
 public:
  // Starts the process and waits until it is jailed: about a millisecond.  kUnsupported where no
  // jail can be built, with the reason: then nothing runs.  kInvalidArgument for limits out of
  // range.
  static Result<Worker> start(const WorkerLimits& limits);

  Worker(Worker&&) noexcept;
  Worker& operator=(Worker&&) noexcept;
  ~Worker();  // Kills and reaps it.

  // Loads a kernel's image, an ELF shared object in memory that is sealed against changes
  // (make_sealed_memory), and returns its number for RunRequest::kernel.  kInvalidArgument, in a
  // sentence, for an image that the loader refuses: constructors, thread-local storage, unknown
  // symbols, and what else is no freestanding kernel.
  Result<std::uint32_t> load(int image_fd);
  Result<> drop(std::uint32_t kernel);

  // Maps `bytes` of `memory_fd` from `offset` (a multiple of the page size) between guards, and
  // returns the mapping's number for RunBuffer::mapping.  The last page is mapped whole: to have
  // the guard right behind a buffer, end it on a page's end.  The descriptor is the caller's and
  // may be closed. `populate` fills the page tables now instead of fault by fault in the first run.
  Result<std::uint32_t> map(int memory_fd, std::uint64_t offset, std::uint64_t bytes, Access access,
                            bool populate = false);
  Result<> unmap(std::uint32_t mapping);

  // Runs a kernel and waits for its answer.  At the deadline the run is given up, and if the kernel
  // has not heeded that within kGraceMs, the worker is killed.  An error only if the worker lives
  // no more.
  static constexpr int kGraceMs = 3;
  Result<RunOutcome> run(const RunRequest& request, Deadline deadline);

  // Stops all of its threads and returns once they stand: what is in its output mappings changes no
  // more.  `answered` is only a claim, so whoever checks results stops the worker before reading
  // them.
  Result<> stop_process();
  Result<> continue_process();

  // Ends it at once and reaps it.  May be called again.
  void kill();
  bool is_alive() const;  // One poll.
  // "was killed by signal 9", "ended with status 1"; once it is dead.
  std::string how_it_ended() const;

  // Which device runs its kernels; of a worker for one.
  const DeviceIdentity& device() const;

  int channel_fd() const;  // The run channel's memory, of kRunChannelBytes, for a client to map.
  int pidfd() const;       // Readable once the process has ended.
  pid_t pid() const;
  RunChannel& channel();
  const WorkerLimits& limits() const;

 private:
  struct State;
  explicit Worker(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::sandbox

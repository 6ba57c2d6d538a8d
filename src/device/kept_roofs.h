// The machine's roofs, measured once and kept in a file: for estimates that are shown on a page, where a figure of
// last week does and two seconds of all cores would not.  What stands beside a measurement is probed in the same
// breath instead (device/roofs.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "device/roofs.h"

namespace hearth::device {

struct KeptRoofs {
  Roofs roofs;
  std::string cpu;  // That they were measured on.
  std::int64_t at_unix_s = 0;
};

// Threading: any thread.
class RoofKeeper {
 public:
  // `n_threads` as ThreadPool takes it: 0 for all cores.
  RoofKeeper(std::filesystem::path file, unsigned n_threads) : file_(std::move(file)), n_threads_(n_threads) {}

  // What the file says; nothing if it is not there, is none of ours, or was measured on another processor.
  std::optional<KeptRoofs> kept() const;

  // Measures and keeps: 2 s of all cores and 512 MiB of memory.  kUnavailable: somebody measures already; else
  // the errors of writing the file.
  Result<KeptRoofs> measure();

 private:
  const std::filesystem::path file_;
  const unsigned n_threads_;
  std::mutex measuring_;
};

}  // namespace hearth::device

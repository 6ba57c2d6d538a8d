// One writer at a time in a folder of snapshots, over all processes.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace hearth::engine {

inline constexpr std::string_view kSnapshotSuffix = ".kv";
inline constexpr std::string_view kSnapshotTemporary = ".write-";  // What unfinished files begin with.

// Held until it goes out of scope; the kernel drops that of a process that dies.
class SnapshotLock {
 public:
  // Makes the folder, for its owner alone, and drops what killed writers left.  Waits for another
  // writer for some seconds (kUnavailable), or until `goes_on` says no (kCancelled).
  // kPermissionDenied if the folder is somebody else's.
  static Result<SnapshotLock> take(const std::filesystem::path& folder,
                                   const std::function<bool()>& goes_on);

  SnapshotLock(SnapshotLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SnapshotLock& operator=(SnapshotLock&&) = delete;
  ~SnapshotLock();

 private:
  explicit SnapshotLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace hearth::engine

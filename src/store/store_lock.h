// One writer at a time: importing, removing and cleaning up hold the store's lock, in whatever
// process they run.  Readers need none, since nothing in a store is ever changed in place.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "gguf/manifest.h"

namespace hearth::store {

class StoreLock {
 public:
  // Waits while another process writes, asking `goes_on` (if any) ten times a second, and then makes
  // the folders that are missing and removes what a killed writer left behind.  kCancelled, or the
  // errors of the file system: a folder that can't be written is kPermissionDenied.
  static Result<StoreLock> take(const gguf::StorePaths& store,
                                const std::function<bool()>& goes_on = {});

  StoreLock(StoreLock&& other) noexcept;
  StoreLock& operator=(StoreLock&&) = delete;
  ~StoreLock();

 private:
  explicit StoreLock(int fd) : fd_(fd) {}
  int fd_;
};

// Files under construction begin so; nothing but a lock's taker removes them.
inline constexpr const char* kTemporaryPrefix = ".new-";

// Writes a small file beside its place, syncs, and renames it there.
Result<> write_store_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace hearth::store

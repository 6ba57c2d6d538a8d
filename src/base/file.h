// Files: mapped for reading, read whole, or replaced so that a crash leaves either
// the old bytes or the new ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/fault_guard.h"
#include "base/result.h"

namespace hearth {

// A read-only mapping of a whole file, released when it goes out of scope.
//
// Threading: immutable once open; any thread may read.  If another program truncates the file while
// it is mapped, the lost pages read as zeros and is_damaged() says so (fault_guard.h).
class MappedFile {
 public:
  // kNotFound, kPermissionDenied, or kInvalidArgument for what is no regular file.  An empty file
  // maps to an empty span.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::size_t size() const { return size_; }
  // Whether a page that was touched could not be read: what was computed from it is wrong.
  bool is_damaged() const { return guard_.is_damaged(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  FaultGuard guard_;
};

// Reads a whole file of at most `max_bytes`; a larger one is kInvalidArgument.
Result<std::string> read_file(const std::filesystem::path& path,
                              std::size_t max_bytes = std::size_t{64} << 20);

// Writes `bytes` beside `path`, syncs, and renames over it; parent folders are made.
Result<> write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

// Makes names that appeared in or vanished from `folder` durable.  Some filesystems refuse fsync on a
// folder; that costs durability of the name only, never the bytes, so it is no error.
void sync_folder(const std::filesystem::path& folder);

// An errno-style failure of `what` on `path` as an Error with the fitting code.
Error file_error(std::string_view what, const std::filesystem::path& path, int error_number);

}  // namespace hearth

// A pack of the store, mapped: the bytes of tensors that manifests name (pack_format.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "base/fault_guard.h"
#include "base/result.h"
#include "gguf/pack_format.h"

namespace hearth::gguf {

// Threading: immutable once open; any thread may read.
class PackFile {
 public:
  // Maps the whole file at an address that large pages can map, and checks its head.  A pack that is
  // mapped already is shared.  kCorrupt naming the file for one that is cut off or damaged,
  // kUnsupported for another version, or the errors of opening.
  static Result<std::shared_ptr<const PackFile>> open(const std::filesystem::path& path);

  PackFile(const PackFile&) = delete;
  PackFile& operator=(const PackFile&) = delete;
  ~PackFile();

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::span<const PackObject> objects() const { return objects_; }
  // The bytes of an object that is in objects().
  std::span<const std::byte> data(const PackObject& object) const {
    return bytes().subspan(object.offset, object.bytes);
  }
  // Whether a page of it could not be read any more, or somebody found that its bytes are wrong.
  bool is_damaged() const { return is_wrong_ || guard_.is_damaged(); }
  void mark_damaged() const { is_wrong_ = true; }

 private:
  PackFile() = default;
  static Result<std::shared_ptr<const PackFile>> map(const std::filesystem::path& path, int fd,
                                                     std::size_t size);
  Result<> check();

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::span<const PackObject> objects_;
  FaultGuard guard_;
  mutable std::atomic<bool> is_wrong_ = false;
};

}  // namespace hearth::gguf

// Writes one pack: objects one after another in 2 MiB-aligned extents, then its table, then its name.
//
// Pieces are large and the file's room is taken first: both make the page cache hold it in large
// folios, which map in a hundredth of the time.  Until commit() the pack has no name that anybody
// looks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/manifest.h"
#include "gguf/pack_format.h"

namespace hearth::store {

// Threading: externally synchronised, under the store's lock.
class PackWriter {
 public:
  // Room for `n_objects_max` objects of `bytes_max` bytes in all.  kOutOfBudget naming the room that
  // is missing if the disk is too full.
  static Result<PackWriter> create(const gguf::StorePaths& store, std::size_t n_objects_max,
                                   std::uint64_t bytes_max);
  PackWriter(PackWriter&& other) noexcept;
  PackWriter& operator=(PackWriter&&) = delete;
  ~PackWriter();  // Leaves nothing behind unless commit() succeeded.

  // Appends an object's bytes; offset, bytes and sum are filled in.
  Result<gguf::PackObject> append(gguf::PackObject object, std::span<const std::byte> bytes);

  bool is_empty() const { return objects_.empty(); }

  // Syncs the file and gives it its name.
  Result<gguf::PackRef> commit();

 private:
  PackWriter() = default;
  Result<> fill(std::span<const std::byte> bytes);
  Result<> flush();
  Result<> write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  gguf::StorePaths store_;
  std::string temporary_;
  int fd_ = -1;
  std::size_t n_objects_max_ = 0;
  std::uint64_t extent_begin_ = 0;
  std::uint64_t end_ = 0;      // Of what was appended.
  std::uint64_t written_ = 0;  // Up to where it is in the file.
  std::vector<std::byte> piece_;
  std::vector<gguf::PackObject> objects_;
};

}  // namespace hearth::store

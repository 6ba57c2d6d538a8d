// Pages of mapped files: brought into memory, given back, counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace hearth {

// What one page-table entry can map at best; file systems with large folios reach it.
inline constexpr std::size_t kLargePageBytes = std::size_t{2} << 20;

// A whole file as it is mapped, from its first byte on; or memory that somebody fills.
struct MappedPart {
  std::span<const std::byte> bytes;
  std::filesystem::path path;
  // Of memory: makes what is to be in a range of it, and returns 0 or an errno.  `path` is what it is
  // made from then.
  std::function<int(std::span<const std::byte>)> fill = {};
};

// Asks for large pages wherever `mapped` is read from now on.  Only advice.
void prefer_large_pages(std::span<const std::byte> mapped);

// Reads what of `mapped` is not in memory and maps all of it.  Returns 0 or an errno: EFAULT where
// the file is cut off or its disk fails, which raises no signal.  Blocks while the disk reads.
int bring_in(std::span<const std::byte> mapped);

// Where pages go that are given back: out of this process only, so that the page cache has them as
// long as the kernel likes, or out of memory.
enum class GiveBack : std::uint8_t { kToCache, kToDisk };

// Gives back the whole pages of `bytes`, which lie in `part`.  What another process has mapped stays in memory.
void give_back(const MappedPart& part, std::span<const std::byte> bytes, GiveBack where);

// How many of these bytes are in memory, in whole pages: of the page cache, mapped or not.
std::uint64_t resident_bytes(std::span<const std::byte> mapped);

// How much of the mappings that begin within a range this process has mapped, and how much of that by
// large pages, as /proc/self/smaps says: a walk over all page tables, about a millisecond per GB.
struct MappedBytes {
  std::uint64_t mapped = 0, large = 0;
};
std::vector<MappedBytes> mapped_bytes(std::span<const std::span<const std::byte>> ranges);

}  // namespace hearth

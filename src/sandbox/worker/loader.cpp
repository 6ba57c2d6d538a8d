#include "sandbox/worker/loader.h"

#include <errno.h>
#include <sys/mman.h>

#include <cstring>

#include "sandbox/run_channel.h"
#include "sandbox/worker/elf_image.h"
#include "sandbox/worker/symbols.h"

namespace hearth::sandbox {
namespace {

constexpr std::uint64_t kHugePageBytes = std::uint64_t{2} << 20;
static_assert(kGuardBytes % kPageBytes == 0);

// Takes addresses for `bytes` with guards before and behind; nothing of it can be touched yet.
bool reserve(std::uint64_t bytes, std::uint64_t alignment, Region& region, Trouble& trouble) {
  const std::uint64_t reserved_bytes =
      page_ceil(bytes) + 2 * kGuardBytes + (alignment - kPageBytes);
  void* at = ::mmap(nullptr, reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
  if (at == MAP_FAILED) {
    return refuse(trouble, page_ceil(bytes) >> 20,
                  " MiB of addresses are more than this worker has left (", std::strerror(errno),
                  "): start it with larger mapped_bytes");
  }
  region.reserved = static_cast<std::byte*>(at);
  region.reserved_bytes = reserved_bytes;
  const auto first = reinterpret_cast<std::uintptr_t>(at) + kGuardBytes;
  region.memory = reinterpret_cast<std::byte*>((first + alignment - 1) & ~(alignment - 1));
  region.bytes = page_ceil(bytes);
  return true;
}

// Maps over reserved addresses, which are given back first: the kernel counts what replaces a
// mapping as nothing new, so that RLIMIT_DATA would bound nothing.  The filter holds the control
// thread to it.
bool place(std::byte* at, std::uint64_t bytes, int protection, int flags, int fd,
           std::uint64_t offset, Trouble& trouble) {
  if (bytes == 0) return true;
  ::munmap(at, bytes);
  void* placed =
      ::mmap(at, bytes, protection, flags | MAP_FIXED_NOREPLACE, fd, static_cast<off_t>(offset));
  if (placed != MAP_FAILED) return true;
  return refuse(trouble, bytes, " bytes could not be mapped (", std::strerror(errno), ")",
                errno == ENOMEM
                    ? ": they are more than this worker has left, start it with larger memory_bytes"
                    : "");
}

int protection_of(const ImageSegment& segment) {
  return (segment.readable ? PROT_READ : 0) | (segment.writable ? PROT_WRITE : 0) |
         (segment.executable ? PROT_EXEC : 0);
}

// The file's part of a segment, and zeros for the rest.
bool place_segment(int fd, const ImageSegment& segment, std::byte* memory, Trouble& trouble) {
  const std::uint64_t begin = page_floor(segment.address);
  const std::uint64_t file_end = segment.address + segment.file_bytes;
  const std::uint64_t end = page_ceil(segment.address + segment.memory_bytes);
  const std::uint64_t from_file = segment.file_bytes == 0 ? begin : page_ceil(file_end);
  if (!place(memory + begin, from_file - begin, protection_of(segment), MAP_PRIVATE, fd,
             page_floor(segment.file_offset), trouble)) {
    return false;
  }
  // What the file has behind the segment on its last page is not the segment's.
  if (segment.writable && from_file > begin)
    std::memset(memory + file_end, 0, from_file - file_end);
  return place(memory + from_file, end - from_file, protection_of(segment),
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, trouble);
}

bool load_planned(int fd, std::span<const std::byte> file, Image& image, Trouble& trouble) {
  ImagePlan plan;
  if (!plan_image(file, plan, trouble) ||
      !reserve(plan.span_bytes, kPageBytes, image.region, trouble))
    return false;
  std::byte* memory = image.region.memory;
  for (std::uint32_t i = 0; i < plan.n_segments; ++i) {
    if (!place_segment(fd, plan.segments[i], memory, trouble)) return false;
  }
  const auto base = reinterpret_cast<std::uintptr_t>(memory);
  if (!relocate_image(file, plan, memory, base, find_symbol, trouble)) return false;
  image.entry = reinterpret_cast<HearthEntry>(base + plan.entry);
  return true;
}

}  // namespace

bool load_image(int fd, std::uint64_t file_bytes, Image& image, Trouble& trouble) {
  void* file = ::mmap(nullptr, file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) return refuse(trouble, "it can't be read (", std::strerror(errno), ")");
  const bool loaded =
      load_planned(fd, {static_cast<const std::byte*>(file), file_bytes}, image, trouble);
  ::munmap(file, file_bytes);
  if (!loaded) release(image.region);
  return loaded;
}

bool map_memory(int fd, std::uint64_t offset, std::uint64_t bytes, bool writable, bool populate,
                Region& region, Trouble& trouble) {
  if (!reserve(bytes, bytes >= kHugePageBytes ? kHugePageBytes : kPageBytes, region, trouble))
    return false;
  const int protection = PROT_READ | (writable ? PROT_WRITE : 0);
  const int flags = MAP_SHARED | (populate ? MAP_POPULATE : 0);
  if (place(region.memory, page_ceil(bytes), protection, flags, fd, offset, trouble)) return true;
  release(region);
  return false;
}

void release(Region& region) {
  if (region.reserved != nullptr) ::munmap(region.reserved, region.reserved_bytes);
  region = Region();
}

}  // namespace hearth::sandbox

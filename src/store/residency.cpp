#include "store/residency.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include "base/file.h"
#include "gguf/manifest.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

struct Range {
  std::uint64_t offset = 0, bytes = 0;
};

// cachestat(2), Linux 6.5; the C library of this distribution does not know it yet.
constexpr long kCachestatNumber = 451;
struct CachestatRange {
  std::uint64_t offset, bytes;
};
struct Cachestat {
  std::uint64_t n_cached, n_dirty, n_writeback, n_evicted, n_recently_evicted;
};

std::uint64_t page_bytes() { return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)); }

// The slow way, for older kernels: a mapping's pages, one flag each.
std::uint64_t mapped_pages_cached(int fd, const Range& range) {
  const std::uint64_t page = page_bytes();
  const std::uint64_t begin = range.offset / page * page;
  const std::uint64_t size = range.offset + range.bytes - begin;
  void* const at =
      ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(begin));
  if (at == MAP_FAILED) return 0;
  std::vector<unsigned char> flags((size + page - 1) / page);
  const bool is_known = ::mincore(at, size, flags.data()) == 0;
  ::munmap(at, size);
  if (!is_known) return 0;
  return static_cast<std::uint64_t>(std::ranges::count_if(flags, [](auto f) { return f & 1; }));
}

std::uint64_t cached_bytes(int fd, const Range& range) {
  if (range.bytes == 0) return 0;
  const CachestatRange asked{range.offset, range.bytes};
  Cachestat found{};
  const bool is_known = ::syscall(kCachestatNumber, fd, &asked, &found, 0) == 0;
  const std::uint64_t pages = is_known ? found.n_cached : mapped_pages_cached(fd, range);
  return std::min(range.bytes, pages * page_bytes());
}

Result<> add_file(const fs::path& path, const std::vector<Range>& ranges, Residency& sum) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::unexpected(file_error("open", path, errno));
  for (const Range& range : ranges) {
    sum.bytes += range.bytes;
    sum.cached_bytes += cached_bytes(fd, range);
  }
  ::close(fd);
  return {};
}

// A stored model's tensors in each of its packs, neighbours as one range.
std::map<Sha256, std::vector<Range>> ranges_of(const gguf::Manifest& manifest) {
  std::map<Sha256, std::vector<Range>> ranges;
  for (const gguf::TensorRef& ref : manifest.refs()) {
    ranges[manifest.packs()[ref.pack].id].push_back({ref.offset, ref.bytes});
  }
  for (auto& [pack, all] : ranges) {
    std::ranges::sort(all, {}, &Range::offset);
    std::vector<Range> joined;
    for (const Range& range : all) {
      if (joined.empty() || joined.back().offset + joined.back().bytes + page_bytes() < range.offset) {
        joined.push_back(range);
      } else {
        joined.back().bytes = range.offset + range.bytes - joined.back().offset;
      }
    }
    all = std::move(joined);
  }
  return ranges;
}

}  // namespace

Result<Residency> residency_of(const fs::path& path) {
  Residency sum;
  if (!path.native().ends_with(gguf::kManifestSuffix)) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return std::unexpected(file_error("stat", path, errno));
    const Range whole{0, static_cast<std::uint64_t>(info.st_size)};
    HEARTH_TRY_VOID(add_file(path, {whole}, sum));
    return sum;
  }
  HEARTH_TRY(const gguf::Manifest manifest, gguf::Manifest::open(path));
  const auto store = gguf::StorePaths::of_manifest(path);
  for (const auto& [pack, ranges] : ranges_of(manifest)) {
    HEARTH_TRY_VOID(add_file(store.pack(pack), ranges, sum));
  }
  return sum;
}

}  // namespace hearth::store

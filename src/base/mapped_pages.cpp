#include "base/mapped_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace hearth {
namespace {

#if !defined(MADV_POPULATE_READ)
constexpr int MADV_POPULATE_READ = 22;  // Linux 5.14; older headers lack it.
#endif

std::uintptr_t page_bytes() {
  static const auto bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

struct Pages {
  std::uintptr_t begin = 0, end = 0;
  void* at() const { return reinterpret_cast<void*>(begin); }  // NOLINT: system calls take no const.
  std::size_t size() const { return end > begin ? end - begin : 0; }
};

// The pages that hold some of `bytes`; the last of a file counts whole.
Pages pages_around(std::span<const std::byte> bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t page = page_bytes();
  return {begin / page * page, (begin + bytes.size() + page - 1) / page * page};
}

// Kernels before 5.14: reads a byte of each page.  A page that is gone raises SIGBUS (fault_guard.h).
void touch(const Pages& pages) {
  for (std::uintptr_t at = pages.begin; at < pages.end; at += page_bytes()) {
    (void)*reinterpret_cast<const volatile char*>(at);  // NOLINT: an address of the mapping.
  }
}

std::uint64_t hex(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

// The kB of a line such as "FilePmdMapped:     2048 kB", in bytes.
std::uint64_t kilobytes(std::string_view line) {
  const std::size_t at = line.find_first_of("0123456789");
  std::uint64_t value = 0;
  if (at != line.npos) std::from_chars(line.data() + at, line.data() + line.size(), value);
  return value * 1024;
}

// Whether a line of smaps begins a mapping, and where that lies.
bool is_head(std::string_view line, Pages& pages) {
  const std::size_t dash = line.find('-'), space = line.find(' ');
  if (dash == line.npos || space == line.npos || dash > space) return false;
  const Pages found{hex(line.substr(0, dash)), hex(line.substr(dash + 1, space - dash - 1))};
  if (found.size() == 0) return false;
  pages = found;
  return true;
}

}  // namespace

void prefer_large_pages(std::span<const std::byte> mapped) {
  if (mapped.empty()) return;
  const Pages pages = pages_around(mapped);
  (void)::madvise(pages.at(), pages.size(), MADV_HUGEPAGE);
}

int bring_in(std::span<const std::byte> mapped) {
  if (mapped.empty()) return 0;
  const Pages pages = pages_around(mapped);
  while (::madvise(pages.at(), pages.size(), MADV_POPULATE_READ) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno != EINVAL) return errno;
    touch(pages);
    return 0;
  }
  return 0;
}

void give_back(const MappedPart& part, std::span<const std::byte> bytes, GiveBack where) {
  // Whole pages only: what shares a page with a neighbour stays, but for the file's last page.
  Pages pages = pages_around(bytes);
  const Pages all = pages_around(part.bytes);
  if (pages.begin < reinterpret_cast<std::uintptr_t>(bytes.data())) pages.begin += page_bytes();
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size());
  if (pages.end > end && pages.end != all.end) pages.end -= page_bytes();
  if (pages.size() == 0) return;
  (void)::madvise(pages.at(), pages.size(), MADV_DONTNEED);
  if (where == GiveBack::kToCache || part.fill) return;
  const int fd = ::open(part.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return;
  const auto offset = static_cast<off_t>(pages.begin - all.begin);
  (void)::posix_fadvise(fd, offset, static_cast<off_t>(pages.size()), POSIX_FADV_DONTNEED);
  ::close(fd);
}

std::uint64_t resident_bytes(std::span<const std::byte> mapped) {
  if (mapped.empty()) return 0;
  const Pages pages = pages_around(mapped);
  std::vector<unsigned char> flags((pages.size() + page_bytes() - 1) / page_bytes());
  if (::mincore(pages.at(), pages.size(), flags.data()) != 0) return 0;
  const auto n = std::ranges::count_if(flags, [](unsigned char flag) { return (flag & 1) != 0; });
  return std::min<std::uint64_t>(static_cast<std::uint64_t>(n) * page_bytes(), mapped.size());
}

std::vector<MappedBytes> mapped_bytes(std::span<const std::span<const std::byte>> ranges) {
  std::vector<MappedBytes> found(ranges.size());
  std::ifstream file("/proc/self/smaps");
  Pages pages;
  const auto add = [&](std::uint64_t MappedBytes::* what, std::uint64_t bytes) {
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const Pages own = pages_around(ranges[i]);
      if (pages.begin >= own.begin && pages.begin < own.end) found[i].*what += bytes;
    }
  };
  for (std::string line; std::getline(file, line);) {
    if (is_head(line, pages)) continue;
    if (line.starts_with("Rss:")) add(&MappedBytes::mapped, kilobytes(line));
    if (line.starts_with("FilePmdMapped:")) add(&MappedBytes::large, kilobytes(line));
  }
  return found;
}

}  // namespace hearth

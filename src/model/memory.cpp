#include "model/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <string_view>

#include "base/file.h"

namespace hearth::model {
namespace {

// The first number in `text`, or 0.
std::uint64_t first_number(std::string_view text) {
  const std::size_t at = text.find_first_of("0123456789");
  std::uint64_t value = 0;
  if (at != text.npos) std::from_chars(text.data() + at, text.data() + text.size(), value);
  return value;
}

std::uint64_t kernel_estimate_bytes() {
  const auto text = read_file("/proc/meminfo", 1U << 16);
  constexpr std::string_view kKey = "MemAvailable:";
  const std::size_t at = text ? text->find(kKey) : std::string::npos;
  if (at == std::string::npos) return 0;
  return first_number(std::string_view(*text).substr(at + kKey.size())) * 1024;
}

// The limit of control groups v2; "max" (no limit) gives 0.
std::uint64_t control_group_limit_bytes() {
  const auto text = read_file("/sys/fs/cgroup/memory.max", 4096);
  return text ? first_number(*text) : 0;
}

double gib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1U << 30); }

}  // namespace

Result<> check_memory(std::string_view name, std::uint64_t bytes, std::uint64_t bytes_max) {
  const std::uint64_t limit = bytes_max > 0 ? bytes_max : available_memory_bytes();
  if (limit == 0 || bytes <= limit) return {};
  return fail(Code::kOutOfBudget,
              fmt::format("'{}' needs {:.2f} GiB for its weights, {:.2f} GiB of memory are "
                          "available: choose a smaller model or quantisation, or free memory",
                          name, gib(bytes), gib(limit)));
}

std::uint64_t available_memory_bytes() {
  const std::uint64_t estimate = kernel_estimate_bytes();
  const std::uint64_t limit = control_group_limit_bytes();
  if (estimate == 0 || limit == 0) return std::max(estimate, limit);
  return std::min(estimate, limit);
}

Result<> lock_in_memory(const Model& model) {
  for (const auto& range : model.mapped_ranges()) {
    if (::mlock(range.data(), range.size()) == 0) continue;
    return fail(Code::kOutOfBudget,
                fmt::format("its weights can't be locked in memory ({}): raise the limit (ulimit -l) "
                            "to {} MiB or more",
                            std::strerror(errno), model.weight_bytes() >> 20));
  }
  return {};
}

void unlock_memory(const Model& model) {
  for (const auto& range : model.mapped_ranges()) (void)::munlock(range.data(), range.size());
}

void prefault(std::span<const std::byte> mapped) {
  if (mapped.empty()) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<std::uintptr_t>(mapped.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(mapped.data() + mapped.size());
  void* const at = reinterpret_cast<void*>(start);  // NOLINT: advice takes no const.
  (void)::madvise(at, end - start, MADV_HUGEPAGE);
#if defined(MADV_POPULATE_READ)
  (void)::madvise(at, end - start, MADV_POPULATE_READ);
#endif
}

}  // namespace hearth::model

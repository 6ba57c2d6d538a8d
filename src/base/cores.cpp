#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

namespace hearth {
namespace {

namespace fs = std::filesystem;

constexpr int kCpusMax = 8192;  // Larger than any kernel is built for.

unsigned affinity_cores() {
  cpu_set_t* set = CPU_ALLOC(kCpusMax);
  if (set == nullptr) return 1;
  const std::size_t set_bytes = CPU_ALLOC_SIZE(kCpusMax);
  CPU_ZERO_S(set_bytes, set);
  int count = 1;
  if (sched_getaffinity(0, set_bytes, set) == 0) count = CPU_COUNT_S(set_bytes, set);
  CPU_FREE(set);
  return static_cast<unsigned>(std::max(count, 1));
}

// The line "0::/path" of /proc/self/cgroup names this process's cgroup v2.
fs::path own_cgroup() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) return fs::path("/sys/fs/cgroup") / line.substr(4);
  }
  return "/sys/fs/cgroup";
}

}  // namespace

std::vector<fs::path> own_cgroups() {
  std::vector<fs::path> groups;
  for (fs::path group = own_cgroup(); group.string().starts_with("/sys/fs/cgroup");
       group = group.parent_path()) {
    groups.push_back(group);
  }
  return groups;
}

unsigned cpu_quota_cores(const fs::path& cpu_max_file) {
  std::ifstream file(cpu_max_file);
  std::int64_t quota_us = 0;
  std::int64_t period_us = 0;
  if (!(file >> quota_us >> period_us) || quota_us <= 0 || period_us <= 0) return 0;
  const std::int64_t cores = (quota_us - 1) / period_us + 1;
  return static_cast<unsigned>(std::min<std::int64_t>(cores, kCpusMax));
}

unsigned usable_cores() {
  unsigned cores = affinity_cores();
  for (const fs::path& group : own_cgroups()) {
    if (const unsigned quota = cpu_quota_cores(group / "cpu.max"); quota != 0) {
      cores = std::min(cores, quota);
    }
  }
  return cores;
}

}  // namespace hearth

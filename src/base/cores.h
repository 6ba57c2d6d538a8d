// How many cores this process may really use.
#pragma once

#include <filesystem>
#include <vector>

namespace hearth {

// The smaller of the affinity mask's cores and the cgroup's CPU quota, rounded up; at least 1.
// Reads a few small files: call it at start, not in a loop.
unsigned usable_cores();

// Folders of the cgroup v2 that this process is in and of those above it; a limit on any of them
// binds.  Empty where there is none.
std::vector<std::filesystem::path> own_cgroups();

// The cgroup v2 quota of a `cpu.max` file ("200000 100000" is 2) in cores, rounded up; 0 for
// "max", a missing file, or one that is not in this form.
unsigned cpu_quota_cores(const std::filesystem::path& cpu_max_file);

}  // namespace hearth

// What this machine is: for `doctor`, for plans, and for the line beside every figure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hearth::device {

struct CpuInfo {
  std::string model_name;       // "Intel(R) Xeon(R) Processor"; "unknown CPU" if it is not told.
  unsigned n_cores_online = 0;  // Hardware threads that the kernel runs.
  unsigned n_cores_usable = 0;  // Of these, what affinity and the cgroup leave to us.
  std::vector<std::string> features;  // Those that matter to kernels, as the kernel spells them.
  std::string kernels;                // The instruction set that tensor/ uses: "avx512".
};

struct MemoryInfo {
  std::uint64_t total_bytes = 0;
  // Can be taken without pushing out what others use; a cgroup's limit counts.
  std::uint64_t available_bytes = 0;
};

// Threading: any thread.  Both read small files under /proc and /sys; what is missing stays 0 or
// unknown.
CpuInfo cpu_info();
MemoryInfo memory_info();

// The parts of /proc/cpuinfo and /proc/meminfo, for tests on recorded files.
void read_cpuinfo(const std::filesystem::path& file, CpuInfo& info);
MemoryInfo read_meminfo(const std::filesystem::path& file);

}  // namespace hearth::device

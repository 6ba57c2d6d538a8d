#include "device/cpu.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/cores.h"
#include "tensor/isa.h"

namespace hearth::device {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 19> kFeatures = {
    "sse4_2",   "avx",      "f16c",     "fma",         "avx2",        "avx_vnni",    "avx512f",
    "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8",
    "amx_bf16", "asimd",    "asimddp",  "i8mm",        "sve"};

// "key : value" as /proc/cpuinfo and /proc/meminfo write it.
bool split(const std::string& line, std::string& key, std::string& value) {
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos) return false;
  key = line.substr(0, colon);
  key.erase(key.find_last_not_of(" \t") + 1);
  const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
  value = begin == std::string::npos ? "" : line.substr(begin);
  return true;
}

std::optional<std::uint64_t> read_number(const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  if (!(in >> value)) return std::nullopt;  // Also "max".
  return value;
}

// Memory that the cgroup v2 at `group` still allows.
std::optional<std::uint64_t> cgroup_memory_left(const fs::path& group) {
  const auto limit = read_number(group / "memory.max");
  const auto used = read_number(group / "memory.current");
  if (!limit || !used) return std::nullopt;
  return *limit > *used ? *limit - *used : 0;
}

}  // namespace

void read_cpuinfo(const fs::path& file, CpuInfo& info) {
  std::ifstream in(file);
  std::string key;
  std::string value;
  for (std::string line; std::getline(in, line);) {
    if (!split(line, key, value)) continue;
    if (key == "model name") info.model_name = value;
    if (key != "flags" && key != "Features") continue;
    std::istringstream words(value);
    for (std::string word; words >> word;) {
      if (std::find(kFeatures.begin(), kFeatures.end(), word) != kFeatures.end()) {
        info.features.push_back(word);
      }
    }
    return;  // The other processors are alike.
  }
}

MemoryInfo read_meminfo(const fs::path& file) {
  MemoryInfo info;
  std::ifstream in(file);
  std::string key;
  std::string value;
  for (std::string line; std::getline(in, line);) {
    if (!split(line, key, value)) continue;
    std::uint64_t kib = 0;
    if (!(std::istringstream(value) >> kib)) continue;
    if (key == "MemTotal") info.total_bytes = kib * 1024;
    if (key == "MemAvailable") info.available_bytes = kib * 1024;
  }
  return info;
}

CpuInfo cpu_info() {
  CpuInfo info;
  info.model_name = "unknown CPU";
  info.n_cores_online = static_cast<unsigned>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
  info.n_cores_usable = usable_cores();
  info.kernels = tensor::isa_name(tensor::selected_isa());
  read_cpuinfo("/proc/cpuinfo", info);
  return info;
}

MemoryInfo memory_info() {
  MemoryInfo info = read_meminfo("/proc/meminfo");
  for (const fs::path& group : own_cgroups()) {
    if (const auto left = cgroup_memory_left(group)) {
      info.available_bytes = std::min(info.available_bytes, *left);
    }
  }
  return info;
}

}  // namespace hearth::device

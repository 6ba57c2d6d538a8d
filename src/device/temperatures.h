// How warm this machine is, where its kernel tells: a virtual machine's mostly does not.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hearth::device {

inline constexpr std::size_t kTemperaturesMax = 32;

struct Temperature {
  std::string sensor;  // "coretemp Package id 0", "x86_pkg_temp"; each name once.
  double celsius = 0;
};

// Of /sys/class/hwmon, else of /sys/class/thermal; at most kTemperaturesMax, by name.  A read of a few small
// files.  Threading: any thread.
std::vector<Temperature> temperatures(const std::filesystem::path& sys_class = "/sys/class");

}  // namespace hearth::device

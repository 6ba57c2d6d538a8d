#include "device/temperatures.h"

#include <algorithm>
#include <fstream>
#include <optional>

namespace hearth::device {
namespace {

namespace fs = std::filesystem;

// Outside of these a sensor is broken, or none.
constexpr double kCelsiusMin = -60, kCelsiusMax = 200;

std::string read_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line.substr(0, 64);
}

std::optional<double> read_celsius(const fs::path& file) {
  std::ifstream in(file);
  double milli = 0;
  if (!(in >> milli)) return std::nullopt;
  const double celsius = milli / 1000;
  return celsius > kCelsiusMin && celsius < kCelsiusMax ? std::optional(celsius) : std::nullopt;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) found.push_back(at->path());
  std::ranges::sort(found);
  return found;
}

void add(std::vector<Temperature>& all, std::string sensor, std::optional<double> celsius) {
  if (!celsius || sensor.empty() || all.size() >= kTemperaturesMax) return;
  if (std::ranges::find(all, sensor, &Temperature::sensor) == all.end()) all.push_back({std::move(sensor), *celsius});
}

// hwmonN/name, and for each tempM_input its tempM_label.
void add_monitors(std::vector<Temperature>& all, const fs::path& folder) {
  constexpr std::string_view kInput = "_input";
  for (const fs::path& monitor : entries_of(folder)) {
    const std::string chip = read_line(monitor / "name");
    for (const fs::path& file : entries_of(monitor)) {
      const std::string name = file.filename().string();
      if (!name.starts_with("temp") || !name.ends_with(kInput)) continue;
      const std::string stem = name.substr(0, name.size() - kInput.size());
      const std::string label = read_line(monitor / (stem + "_label"));
      add(all, chip + " " + (label.empty() ? stem : label), read_celsius(file));
    }
  }
}

void add_zones(std::vector<Temperature>& all, const fs::path& folder) {
  for (const fs::path& zone : entries_of(folder)) {
    if (zone.filename().string().starts_with("thermal_zone")) add(all, read_line(zone / "type"), read_celsius(zone / "temp"));
  }
}

}  // namespace

std::vector<Temperature> temperatures(const fs::path& sys_class) {
  std::vector<Temperature> all;
  add_monitors(all, sys_class / "hwmon");
  if (all.empty()) add_zones(all, sys_class / "thermal");
  std::ranges::sort(all, {}, &Temperature::sensor);
  return all;
}

}  // namespace hearth::device

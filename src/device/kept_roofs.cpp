#include "device/kept_roofs.h"

#include <array>
#include <cmath>
#include <limits>
#include <sstream>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "device/cpu.h"

namespace hearth::device {
namespace {

constexpr std::string_view kFirstLine = "hearth roofs 1";
constexpr std::size_t kFileBytesMax = 4096;

struct Figure {
  std::string_view name;
  double Roofs::* value;
};
constexpr auto kFigures = std::to_array<Figure>({{"read_gb_s", &Roofs::read_gb_s},
                                                 {"int8_gop_s", &Roofs::int8_gop_s},
                                                 {"f32_gop_s", &Roofs::f32_gop_s},
                                                 {"f64_gop_s", &Roofs::f64_gop_s},
                                                 {"stream_gb_s", &Roofs::stream_gb_s}});

// First line, processor, seconds and threads; then a figure per line, by name.
std::string write_kept(const KeptRoofs& kept) {
  std::ostringstream out;
  out.precision(std::numeric_limits<double>::max_digits10);
  out << kFirstLine << '\n' << kept.cpu << '\n' << kept.at_unix_s << ' ' << kept.roofs.n_threads << '\n';
  for (const Figure& figure : kFigures) out << figure.name << ' ' << kept.roofs.*figure.value << '\n';
  return std::move(out).str();
}

std::optional<KeptRoofs> read_kept(const std::string& text) {
  std::istringstream in(text);
  KeptRoofs kept;
  std::string line;
  if (!std::getline(in, line) || line != kFirstLine || !std::getline(in, kept.cpu)) return std::nullopt;
  if (!(in >> kept.at_unix_s >> kept.roofs.n_threads)) return std::nullopt;
  for (const Figure& figure : kFigures) {
    std::string name;
    double& value = kept.roofs.*figure.value;
    if (!(in >> name >> value) || name != figure.name || !std::isfinite(value) || value <= 0) return std::nullopt;
  }
  return kept;
}

}  // namespace

std::optional<KeptRoofs> RoofKeeper::kept() const {
  const auto text = read_file(file_, kFileBytesMax);
  if (!text) return std::nullopt;
  auto kept = read_kept(*text);
  if (kept && kept->cpu != cpu_info().model_name) return std::nullopt;
  return kept;
}

Result<KeptRoofs> RoofKeeper::measure() {
  const std::unique_lock lock(measuring_, std::try_to_lock);
  if (!lock.owns_lock()) return fail(Code::kUnavailable, "the machine's roofs are being measured already");
  ThreadPool pool(n_threads_);
  const KeptRoofs measured{.roofs = measure_roofs(pool),
                           .cpu = cpu_info().model_name,
                           .at_unix_s = Clock::system().now_unix_us() / 1'000'000};
  HEARTH_TRY_VOID(write_file_atomic(file_, write_kept(measured)));
  return measured;
}

}  // namespace hearth::device

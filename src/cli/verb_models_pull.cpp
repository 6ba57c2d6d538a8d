// `hearth models pull`: a model from a registry into the data folder.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/interrupt.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "store/pull.h"
#include "store/pulled.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t total_bytes(const store::PullPlan& plan) {
  std::uint64_t total = 0;
  for (const store::PullFile& file : plan.files) total += file.bytes;
  return total;
}

// What the bar says beside its share: the file, and how fast it comes.
class Meter {
 public:
  std::string describe(const store::PullPlan& plan, const store::PullProgress& progress) {
    const std::string name = plan.files[progress.file].path.filename().string();
    if (progress.is_checking) return name + " (checking what is here)";
    if (!started_ || progress.file != file_) {
      started_ = Clock::now();
      file_ = progress.file;
      first_bytes_ = progress.bytes;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - *started_).count();
    if (seconds < 1) return name;
    const double rate = static_cast<double>(progress.bytes - first_bytes_) / seconds;
    return fmt::format("{}  {}/s", name, format_bytes(static_cast<std::uint64_t>(rate)));
  }

 private:
  std::optional<Clock::time_point> started_;
  std::size_t file_ = 0;
  std::uint64_t first_bytes_ = 0;
};

Result<> fetch(const store::PullPlan& plan, bool show_bar) {
  ProgressBar bar(show_bar);
  Meter meter;
  bool stopped = false;
  watch_interrupts();
  store::PullControl control;
  control.on_progress = [&](const store::PullProgress& progress) {
    bar.show(progress.bytes, std::max(progress.total, progress.bytes), meter.describe(plan, progress));
  };
  control.is_stopped = [&stopped] { return stopped = stopped || take_interrupt(); };
  return store::pull(plan, control);
}

// How to ask what was pulled.
std::string next_step(const store::PullPlan& plan) {
  const std::filesystem::path& path = plan.files.front().path;
  if (!plan.needs_conversion) {
    return fmt::format("ask it: hearth ask --model {} \"...\"",
                       store::pulled_model_name(path.lexically_relative(pulled_folder())));
  }
  return fmt::format("these are weights as their makers wrote them; make a model that runs of them:\n"
                     "hearth models quantize {} {}-Q4_K_M.gguf --type Q4_K_M",
                     path.parent_path().string(), path.parent_path().filename().string());
}

}  // namespace

Result<> models_pull(const Context& context, const ModelsPullOptions& options) {
  HEARTH_TRY(const store::PullName name, store::parse_pull_name(options.name));
  HEARTH_TRY(const store::PullPlan plan, store::plan_pull(name, pull_options()));
  print_note(fmt::format("{}: {} in {} file{}", plan.name,
                         total_bytes(plan) == 0 ? "of unknown size" : format_bytes(total_bytes(plan)),
                         plan.files.size(), plan.files.size() == 1 ? "" : "s"));
  HEARTH_TRY_VOID(fetch(plan, !context.json));
  if (context.json) {
    nlohmann::ordered_json files = nlohmann::ordered_json::array();
    for (const store::PullFile& file : plan.files) {
      files.push_back({{"path", file.path.string()}, {"bytes", file.bytes}, {"sha256", file.sha256}});
    }
    print_out(nlohmann::ordered_json{{"name", plan.name}, {"files", files}}.dump(2) + "\n");
    return {};
  }
  print_out(fmt::format("{}\n{}\n", plan.files.front().path.string(), next_step(plan)));
  return {};
}

}  // namespace hearth::cli

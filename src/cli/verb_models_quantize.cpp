// `hearth models quantize`: one model in, a smaller file out.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/open_catalogue.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "convert/quantize_model.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

nlohmann::ordered_json to_json(const ModelsQuantizeOptions& options,
                               const convert::QuantizeReport& report, double seconds) {
  nlohmann::ordered_json types = nlohmann::ordered_json::array();
  for (const convert::TypeShare& share : report.types) {
    types.push_back({{"type", tensor::dtype_info(share.type).name},
                     {"tensors", share.n_tensors},
                     {"bytes", share.bytes}});
  }
  return {{"path", options.out},
          {"weights", report.n_weights},
          {"source_bytes", report.source_bytes},
          {"bytes", report.bytes},
          {"bits_per_weight",
           8 * static_cast<double>(report.bytes) / static_cast<double>(report.n_weights)},
          {"seconds", seconds},
          {"types", types},
          {"notes", report.notes}};
}

std::string to_text(const ModelsQuantizeOptions& options, const convert::QuantizeReport& report,
                    double seconds) {
  std::vector<std::vector<std::string>> table = {{"TYPE", "TENSORS", "SIZE"}};
  for (const convert::TypeShare& share : report.types) {
    table.push_back({std::string(tensor::dtype_info(share.type).name),
                     fmt::format("{}", share.n_tensors), format_bytes(share.bytes)});
  }
  std::string text = format_table(table);
  text += fmt::format(
      "\n{} to {}, {:.2f} bits a weight, in {:.1f} s\n{}\nask it: hearth ask --model {} \"...\"\n",
      format_bytes(report.source_bytes), format_bytes(report.bytes),
      8 * static_cast<double>(report.bytes) / static_cast<double>(report.n_weights), seconds,
      options.out, options.out);
  return text;
}

// A path, or a name of `hearth models list`.
Result<std::filesystem::path> find_source(const Context& context, const std::string& source) {
  std::error_code error;
  if (std::filesystem::exists(source, error)) return source;
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
  HEARTH_TRY(const store::CatalogueEntry entry, catalogue.find(source));
  return entry.path;
}

Result<convert::QuantizeReport> run(const Context& context, const ModelsQuantizeOptions& options,
                                    const convert::Recipe& recipe) {
  HEARTH_TRY(const std::filesystem::path path, find_source(context, options.source));
  HEARTH_TRY(const convert::ModelSource source, convert::open_source(path));
  convert::Importance importance;
  if (!options.importance.empty()) {
    HEARTH_TRY(importance, convert::read_importance(options.importance));
  }
  ProgressBar bar(!context.json);
  watch_interrupts();
  return convert::quantize_model(source, options.out,
                                 {.recipe = &recipe,
                                  .importance = options.importance.empty() ? nullptr : &importance,
                                  .n_threads = options.threads,
                                  .allow_requantize = options.allow_requantize,
                                  .overwrite = options.force,
                                  .progress = [&bar](const convert::Progress& progress) {
                                    bar.show(progress.done, progress.total, progress.tensor);
                                    return !take_interrupt();
                                  }});
}

}  // namespace

Result<> models_quantize(const Context& context, const ModelsQuantizeOptions& options) {
  HEARTH_TRY(const convert::Recipe* const recipe, convert::need_recipe(options.type));
  const auto start = Clock::now();
  HEARTH_TRY(const convert::QuantizeReport report, run(context, options, *recipe));
  const double seconds = seconds_since(start);
  if (context.json) {
    print_out(to_json(options, report, seconds).dump(2) + "\n");
    return {};
  }
  for (const std::string& note : report.notes) print_note(note);
  print_out(to_text(options, report, seconds));
  return {};
}

}  // namespace hearth::cli

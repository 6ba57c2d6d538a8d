// `hearth models import`, `rm`, `gc` and `verify`: the models that Hearth keeps itself.
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/import_delta.h"
#include "cli/import_file.h"
#include "cli/import_source.h"
#include "cli/interrupt.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "store/upkeep.h"

namespace hearth::cli {
namespace {

using Clock = std::chrono::steady_clock;

gguf::StorePaths store_paths() { return {store_folder()}; }

store::UpkeepWatch watch_with(ProgressBar& bar) {
  return [&bar](const store::UpkeepProgress& progress) {
    bar.show(progress.done, progress.total, progress.what);
    return !take_interrupt();
  };
}

void print_freed(const Context& context, const store::FreeReport& freed) {
  if (context.json) {
    print_out(nlohmann::ordered_json{{"files", freed.n_files}, {"bytes", freed.bytes}}.dump() + "\n");
  } else {
    print_out(fmt::format("{} freed\n", format_bytes(freed.bytes)));
  }
}

}  // namespace

Result<> models_import(const Context& context, const ModelsImportOptions& options) {
  HEARTH_TRY(const ImportSource source, find_import_source(context, options));
  watch_interrupts();
  if (!options.delta_of.empty()) return import_delta(context, source, options);
  if (!options.as.empty() || !options.text.empty()) {
    return fail(Code::kInvalidArgument, "--as and --text belong to --delta-of BASE: name the base");
  }
  const auto start = Clock::now();
  HEARTH_TRY(const ImportFile file, prepare_import(source, options, !context.json));
  HEARTH_TRY(const store::ImportReport report, import_file(file.path(), source.name, {}, options, !context.json));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (context.json) {
    print_out(nlohmann::ordered_json{{"name", source.name},
                                     {"path", report.manifest.string()},
                                     {"tensors", report.n_tensors},
                                     {"bytes", report.bytes},
                                     {"new_bytes", report.new_bytes},
                                     {"seconds", seconds}}
                  .dump(2) +
              "\n");
    return {};
  }
  const std::uint64_t shared = report.shared_bytes;
  print_out(fmt::format("imported {}: {} tensors, {}{} in {:.1f} s\nask it: hearth ask --model {} \"...\"\n",
                        source.name, report.n_tensors, format_bytes(report.bytes),
                        shared == 0 ? "" : fmt::format(", {} of which the store had", format_bytes(shared)),
                        seconds, source.name));
  return {};
}

Result<> models_rm(const Context& context, const ModelsRmOptions& options) {
  HEARTH_TRY(const store::FreeReport freed, store::remove_model(store_paths(), options.name));
  print_freed(context, freed);
  return {};
}

Result<> models_gc(const Context& context) {
  watch_interrupts();
  ProgressBar bar(!context.json);
  HEARTH_TRY(const store::FreeReport freed, store::collect_garbage(store_paths(), watch_with(bar)));
  print_freed(context, freed);
  return {};
}

Result<> models_verify(const Context& context) {
  watch_interrupts();
  std::optional<ProgressBar> bar(std::in_place, !context.json);
  HEARTH_TRY(const store::VerifyReport report, store::verify_store(store_paths(), watch_with(*bar)));
  bar.reset();
  if (context.json) {
    print_out(nlohmann::ordered_json{{"models", report.n_models},
                                     {"packs", report.n_packs},
                                     {"objects", report.n_objects},
                                     {"bytes", report.bytes},
                                     {"problems", report.problems},
                                     {"bad_models", report.bad_models}}
                  .dump(2) +
              "\n");
  } else {
    for (const std::string& problem : report.problems) print_out(problem + "\n");
    print_out(fmt::format("{} models, {} tensors, {} read: {}\n", report.n_models, report.n_objects,
                          format_bytes(report.bytes),
                          report.problems.empty() ? "all good" : "not good"));
  }
  if (report.problems.empty()) return {};
  return fail(Code::kCorrupt, fmt::format("{} problems in '{}': import the models again that they name",
                                          report.problems.size(), store_folder().string()));
}

}  // namespace hearth::cli

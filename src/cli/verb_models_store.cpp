// `hearth models import`, `rm`, `gc` and `verify`: the models that Hearth keeps itself.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/interrupt.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "convert/quantize_model.h"
#include "gguf/gguf_file.h"
#include "model/packed_weights.h"
#include "model/vocab.h"
#include "store/file_name.h"
#include "store/head.h"
#include "store/import.h"
#include "store/inventory.h"
#include "store/upkeep.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

gguf::StorePaths store_paths() { return {store_folder()}; }

// What is to be imported, and what it will be called.
struct Source {
  fs::path path;
  std::string name;
};

Result<Source> find_source(const Context& context, const ModelsImportOptions& options) {
  Source source;
  std::error_code error;
  if (fs::exists(options.source, error)) {
    source.path = fs::absolute(options.source, error).lexically_normal();
    // "models/qwen/" has no last part of its own.
    const fs::path last = source.path.has_filename() ? source.path : source.path.parent_path();
    source.name = fs::is_directory(source.path, error) ? last.filename() : last.stem();
    if (const auto part = store::split_part(source.name)) source.name = part->stem;
  } else {
    HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(context.config));
    HEARTH_TRY(const store::CatalogueEntry entry, catalogue.find(options.source));
    if (entry.source == "store") {
      return fail(Code::kInvalidArgument, fmt::format("'{}' is imported already", entry.name));
    }
    source = {entry.path, entry.name};
  }
  if (!options.name.empty()) source.name = options.name;
  return source;
}

// A file in the store's folder that goes when it is no longer needed.
class ScratchFile {
 public:
  explicit ScratchFile(fs::path path) : path_(std::move(path)) {}
  ~ScratchFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// A folder in Hugging Face's layout, or a file that is to have another type, as a GGUF file.
Result<> convert_to(const fs::path& out, const Source& source, const ModelsImportOptions& options,
                    bool shows_progress) {
  const std::string type = options.type.empty() ? "Q4_K_M" : options.type;
  const convert::Recipe* const recipe = convert::find_recipe(type);
  if (recipe == nullptr) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' is no type that is written: choose one of {}",
                                                    type, convert::known_recipes()));
  }
  HEARTH_TRY(const convert::ModelSource opened, convert::open_source(source.path));
  ProgressBar bar(shows_progress);
  HEARTH_TRY([[maybe_unused]] const convert::QuantizeReport report,
             convert::quantize_model(opened, out,
                                     {.recipe = recipe,
                                      .n_threads = options.threads,
                                      .overwrite = true,
                                      .progress = [&bar](const convert::Progress& progress) {
                                        bar.show(progress.done, progress.total, progress.tensor);
                                        return !take_interrupt();
                                      }}));
  return {};
}

Result<store::ImportReport> import_file(const fs::path& path, const std::string& name,
                                        const ModelsImportOptions& options, bool shows_progress) {
  HEARTH_TRY(const gguf::GgufFile file, gguf::GgufFile::open(path));
  HEARTH_TRY(const auto layouts, model::store_layouts(file));
  ProgressBar bar(shows_progress);
  HEARTH_TRY(const store::ImportReport report,
             store::import_model(file, {.store = store_paths(),
                                        .name = name,
                                        .quantization = store::read_head(path).quantization,
                                        .layouts = layouts,
                                        .replace = options.force,
                                        .n_threads = options.threads,
                                        .progress = [&bar](const store::ImportProgress& progress) {
                                          bar.show(progress.done, progress.total, progress.tensor);
                                          return !take_interrupt();
                                        }}));
  // The first request finds the vocabulary's image made.
  HEARTH_TRY(const gguf::GgufFile stored, gguf::GgufFile::open_model(report.manifest));
  HEARTH_TRY([[maybe_unused]] const auto tokenizer, model::load_tokenizer(stored));
  return report;
}

Result<store::ImportReport> import_source(const Source& source, const ModelsImportOptions& options,
                                          bool shows_progress) {
  std::error_code error;
  if (!fs::is_directory(source.path, error) && options.type.empty()) {
    return import_file(source.path, source.name, options, shows_progress);
  }
  fs::create_directories(store_folder(), error);
  const ScratchFile scratch(store_folder() / fmt::format(".convert-{}.gguf", ::getpid()));
  HEARTH_TRY_VOID(convert_to(scratch.path(), source, options, shows_progress));
  return import_file(scratch.path(), source.name, options, shows_progress);
}

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
  HEARTH_TRY(const Source source, find_source(context, options));
  watch_interrupts();
  const auto start = Clock::now();
  HEARTH_TRY(const store::ImportReport report, import_source(source, options, !context.json));
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
  const std::uint64_t shared = report.bytes - report.new_bytes;
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

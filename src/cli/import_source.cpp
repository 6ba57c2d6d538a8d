#include "cli/import_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "convert/quantize_model.h"
#include "store/file_name.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

// A folder in Hugging Face's layout, or a file that is to have another type, as a GGUF file.
Result<> convert_to(const fs::path& out, const ImportSource& source, const ModelsImportOptions& options,
                    bool shows_progress) {
  const std::string type = options.type.empty() ? "Q4_K_M" : options.type;
  HEARTH_TRY(const convert::Recipe* const recipe, convert::need_recipe(type));
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

}  // namespace

Result<ImportSource> find_import_source(const Context& context, const ModelsImportOptions& options) {
  ImportSource source;
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

ImportFile::~ImportFile() {
  std::error_code ignored;
  if (is_scratch_) fs::remove(path_, ignored);
}

Result<ImportFile> prepare_import(const ImportSource& source, const ModelsImportOptions& options,
                                  bool shows_progress) {
  std::error_code error;
  if (!fs::is_directory(source.path, error) && options.type.empty()) {
    return ImportFile(source.path, false);
  }
  fs::create_directories(store_folder(), error);
  ImportFile scratch(store_folder() / fmt::format(".convert-{}.gguf", ::getpid()), true);
  HEARTH_TRY_VOID(convert_to(scratch.path(), source, options, shows_progress));
  return scratch;
}

}  // namespace hearth::cli

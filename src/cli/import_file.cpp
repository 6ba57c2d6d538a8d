#include "cli/import_file.h"

#include "cli/interrupt.h"
#include "cli/paths.h"
#include "cli/progress_bar.h"
#include "gguf/gguf_file.h"
#include "model/packed_weights.h"
#include "model/vocab.h"
#include "store/head.h"

namespace hearth::cli {

Result<store::ImportReport> import_file(const std::filesystem::path& path, const std::string& name,
                                        const store::DeltaChoice& delta, const ModelsImportOptions& options,
                                        bool shows_progress) {
  HEARTH_TRY(const gguf::GgufFile file, gguf::GgufFile::open(path));
  HEARTH_TRY(const auto layouts, model::store_layouts(file));
  ProgressBar bar(shows_progress);
  HEARTH_TRY(store::ImportReport report,
             store::import_model(file, {.store = {store_folder()},
                                        .name = name,
                                        .quantization = store::read_head(path).quantization,
                                        .layouts = layouts,
                                        .delta = delta,
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

}  // namespace hearth::cli

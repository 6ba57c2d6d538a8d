#include "cli/open_catalogue.h"

#include <sstream>

#include "cli/embedded_model.h"
#include "cli/paths.h"
#include "model/architecture_table.h"
#include "model/encoder.h"

namespace hearth::cli {
namespace {

// Those that this program can run: decoders and encoders.
std::vector<std::string> runnable_architectures() {
  std::vector<std::string> names;
  for (const std::string_view name : model::encoder_architectures()) names.emplace_back(name);
  std::istringstream decoders(model::supported_architectures());
  for (std::string name; std::getline(decoders >> std::ws, name, ',');) names.push_back(name);
  return names;
}

}  // namespace

Result<store::CatalogueOptions> catalogue_options(const Config& config) {
  store::CatalogueOptions options;
  HEARTH_TRY(options.embedded, embedded_model_file());
  for (const std::string& folder : config.models.folders) options.folders.push_back(expand_home(folder));
  options.pulled = pulled_folder();
  for (const std::string& folder : config.adapters.folders) {
    options.adapter_folders.push_back(expand_home(folder));
  }
  options.scan_other_programs = config.models.scan;
  options.store = store_folder();
  options.heads_file = cache_folder() / "heads";
  options.architectures = runnable_architectures();
  return options;
}

store::PullOptions pull_options() {
  store::PullOptions options;
  options.folder = pulled_folder();
  store::take_environment(options);
  return options;
}

Result<store::Catalogue> open_catalogue(const Config& config) {
  HEARTH_TRY(const store::CatalogueOptions options, catalogue_options(config));
  return store::Catalogue::scan(options);
}

Result<std::filesystem::path> model_path(const Config& config, const std::string& name_or_path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(name_or_path, ignored)) return name_or_path;
  HEARTH_TRY(const store::Catalogue catalogue, open_catalogue(config));
  HEARTH_TRY(store::CatalogueEntry entry, catalogue.find(name_or_path));
  return entry.path;
}

}  // namespace hearth::cli

// The catalogue as the configuration asks for it.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "cli/config.h"
#include "store/catalogue.h"
#include "store/pull_plan.h"

namespace hearth::cli {

// Where to look, with ember's file among it.
Result<store::CatalogueOptions> catalogue_options(const Config& config);

// From where models are pulled and whereto, as the environment says.
store::PullOptions pull_options();

// ember, the folders of hearth.toml and, unless switched off, what other programs keep.
Result<store::Catalogue> open_catalogue(const Config& config);

// The file of a model given by a path or by a catalogue name.  A path that exists wins and costs no scan.
Result<std::filesystem::path> model_path(const Config& config, const std::string& name_or_path);

}  // namespace hearth::cli

// A GGUF file into the store, with the vocabulary's image made.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "cli/verbs.h"
#include "store/import.h"

namespace hearth::cli {

Result<store::ImportReport> import_file(const std::filesystem::path& path, const std::string& name,
                                        const store::DeltaChoice& delta, const ModelsImportOptions& options,
                                        bool shows_progress);

}  // namespace hearth::cli

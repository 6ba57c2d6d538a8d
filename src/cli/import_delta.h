// `hearth models import --delta-of`: a fine-tune as what makes it of its base, with what that costs.
#pragma once

#include "base/result.h"
#include "cli/import_source.h"
#include "cli/verbs.h"

namespace hearth::cli {

// Imports `source` and prints the report.
Result<> import_delta(const Context& context, const ImportSource& source, const ModelsImportOptions& options);

}  // namespace hearth::cli

// Tasks, as the configuration names them.
#pragma once

#include "base/result.h"
#include "cli/config.h"
#include "hub/tasks/task_router.h"

namespace hearth::cli {

// With what the files of examples hold: a line each, empty ones left out.  The errors of read_file().
Result<hub::TaskRouterOptions> task_options(const Config& config);

}  // namespace hearth::cli

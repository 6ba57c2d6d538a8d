// A hub as the configuration asks for it, in this process.
#pragma once

#include <memory>

#include "base/result.h"
#include "cli/config.h"
#include "hub/hub.h"

namespace hearth::cli {

// kInvalidArgument for settings that contradict one another; else the errors of hub::create_hub.
Result<std::unique_ptr<hub::Hub>> open_hub(const Config& config);

}  // namespace hearth::cli

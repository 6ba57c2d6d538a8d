// Hearth's own report of which models are in memory, as JSON.
#pragma once

#include <string>

#include "hub/hub.h"

namespace hearth::api {

// {"bytes_max": ..., "bytes_used": ..., "models": [{"name": ..., "state": "cached", ...}]}
std::string render_memory(const hub::MemoryReport& report);

}  // namespace hearth::api

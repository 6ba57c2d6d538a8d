// Hearth's own report of which models are in memory, and of other servers, as JSON.
#pragma once

#include <span>
#include <string>

#include "hub/hub.h"

namespace hearth::api {

// {"bytes_max": ..., "bytes_used": ..., "models": [{"name": ..., "state": "cached", ...}],
//  "upstreams": [{"name": ..., "circuit": "closed", ...}]}
std::string render_memory(const hub::MemoryReport& report,
                          std::span<const hub::UpstreamState> upstreams);

}  // namespace hearth::api

// A stream of MCP messages passed on to a hub that runs.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/mcp_lines.h"

namespace hearth::cli {

// Reads messages until the input ends, posts each to the hub at `url`, and writes what comes back.  What still
// runs at the end is cancelled.
Result<> pass_on_mcp(const std::string& url, LineReader& input, LineWriter& output);

}  // namespace hearth::cli

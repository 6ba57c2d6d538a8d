// API keys of the hub, from a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/access.h"

namespace hearth::cli {

// One key a line, as NAME KEY, with `admin` behind it if it is to see the receipts of all; empty lines and those
// that start with # are skipped.
// kPermissionDenied for a file that others may read; kInvalidArgument naming the line (never the
// key) for one that is not of that form.
Result<std::vector<server::ApiKey>> load_api_keys(const std::filesystem::path& path);

// The key with which this program asks a hub that wants one: $HEARTH_API_KEY; empty: none.
std::string own_api_key();

}  // namespace hearth::cli

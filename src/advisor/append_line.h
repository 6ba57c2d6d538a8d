// Appends a line to a file that several programs may append to.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace hearth::advisor {

// In one write, so that lines don't mix; makes the folder.  Nobody but the user may read a new file.
Result<> append_line(const std::filesystem::path& file, std::string_view line);

}  // namespace hearth::advisor

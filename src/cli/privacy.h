// The configuration's part of privacy: dictionaries from their files.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "privacy/dictionary.h"

namespace hearth::cli {

// All of `files` in one; an error names the file and the line.
Result<privacy::Dictionary> load_dictionaries(std::span<const std::string> files);

}  // namespace hearth::cli

// The configuration's part of privacy: dictionaries and the policy from their files.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "privacy/dictionary.h"
#include "privacy/policy.h"

namespace hearth::cli {

// All of `files` in one; an error names the file and the line.
Result<privacy::Dictionary> load_dictionaries(std::span<const std::string> files);

// The policy of a file, whose own checks are not run; "": the standard one.
Result<privacy::Policy> load_policy(const std::string& file);

}  // namespace hearth::cli

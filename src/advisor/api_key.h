// An API key of another server's: read once, from where the configuration says, and handed to
// nobody but the HTTP client.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::advisor {

// The key from the environment variable `env` or else from `file`; empty if neither is named (some
// local servers want none).  Surrounding white space is dropped.  Messages never contain the key.
//   kNotFound: the variable is not set, or there is no such file.
//   kPermissionDenied: the file can be read by others than its owner, or is not ours.
//   kInvalidArgument: what is there is no key (empty, more than kKeyBytesMax, or not printable).
Result<std::string> read_api_key(const std::string& env, const std::string& file,
                                 std::string_view whose = "the adviser's");

inline constexpr std::size_t kKeyBytesMax = 4096;

}  // namespace hearth::advisor

// What stands behind '?' in a request's target: NAME=VALUE, joined by '&', percent-encoded.  Names that
// nobody asks for are skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/request_values.h"

namespace hearth::api {

inline constexpr std::size_t kQueryValueBytesMax = 512;

// The first value of `name`, decoded; absent where it is not there or empty.
Parsed<std::optional<std::string>> query_value(std::string_view target, std::string_view name);
// The same, "" and `absent` standing for an absent one.
Parsed<std::string> query_text(std::string_view target, std::string_view name);
Parsed<std::int64_t> query_number(std::string_view target, std::string_view name, std::int64_t absent,
                                  std::int64_t max);

}  // namespace hearth::api

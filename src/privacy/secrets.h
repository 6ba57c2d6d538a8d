// Keys, tokens and passwords: by the prefixes that services give their keys, by the form of a JWT or a
// PEM block, and by the name that a value is assigned to.
#pragma once

#include <optional>
#include <string_view>

#include "privacy/span.h"

namespace hearth::privacy {

// Of the token at `at`, whose first byte no letter or digit precedes.
std::optional<Span> find_service_key(std::string_view text, std::size_t at);

// From "-----BEGIN ... PRIVATE KEY-----" at `at` to its end line, or to the end of the text.
std::optional<Span> find_private_key(std::string_view text, std::size_t at);

// The value in `password = VALUE`, `"api_key": "VALUE"`, `Bearer VALUE`; `at` is where the name begins,
// `name_end` where it ends.
std::optional<Span> find_assigned_secret(std::string_view text, std::size_t at, std::size_t name_end);

}  // namespace hearth::privacy
